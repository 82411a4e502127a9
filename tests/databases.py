"""Which databases a test runs on, and on which only when there is time (`make test-long`)."""

import pytest

on_sqlite_and_when_there_is_time_on_postgresql = pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True
)
on_postgresql_and_when_there_is_time_on_sqlite = pytest.mark.parametrize(
    "database_url", [pytest.param("sqlite", marks=pytest.mark.long), "postgresql"], indirect=True
)

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
