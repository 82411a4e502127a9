"""From the child's frames to rows of the tables: one row maker per domain."""
