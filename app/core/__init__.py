"""The ground floor: what everything may use and what knows nothing of jobs or domains."""
