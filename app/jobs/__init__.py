"""The job core: a row that is the queue, workers that take it, and handlers that step.

Read `runner.py` first. `states.py` draws the state machine, `context.py` is what a handler
sees, `store/` holds all SQL, `engines/` the three ways by which work reaches a worker.
"""
