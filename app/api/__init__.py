"""The HTTP API: who may call, what a route may ask for, jobs, and what operators look at."""
