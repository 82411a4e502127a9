"""iPhone backups: where their databases lie, and reading them."""
