"""Three ways by which work reaches a worker; all end in the same `Runner`."""
