"""Notes with their embeddings, and reminders."""
