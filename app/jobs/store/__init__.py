"""All SQL on the job tables: plain functions, the session first, and nobody here commits.

insert   asking for work            claim    taking it        steps   what its owner writes
moves    the state machine's edges  people   cancel, retry    sweep   what was lost
read     lists and the audit trail  workers  who is alive
"""
