"""The workers' doors: `tasks.py` for the arq command, `__main__.py` for the database engine."""
