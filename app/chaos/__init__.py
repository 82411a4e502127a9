"""Faults on purpose: private servers, workers that are killed, and a ledger that is checked.

Needs the test servers (`make install`); nothing here is imported by a service.
"""
