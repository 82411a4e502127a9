"""One search over everything: the only place that knows all domains that can be searched."""
