"""Headway: every background job is a row that you can watch, and the row is the truth."""
