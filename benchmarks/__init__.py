"""Benchmarks: figures that a person asks for, never timed tests."""
