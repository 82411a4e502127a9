"""The tables of what is indexed from a backup, one module for each domain."""
