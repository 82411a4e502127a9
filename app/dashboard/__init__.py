"""One page over the API: what runs, how far it is, and what to do about it."""
