"""Builds and deployments: the operator's recipes, run one after another, with an audit trail."""
