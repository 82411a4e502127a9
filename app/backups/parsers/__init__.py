"""Pure parsers of the databases in a backup: a path in, named tuples out."""
