"""Writes docs/configuration.md and .env.example from `app.settings.Settings`.

    python -m docs.generate            writes both
    python -m docs.generate --check    writes nothing; exit code 1 when one of them is out of date

A new setting has to be put into one of the `GROUPS`.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import annotated_types
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from app.settings import Settings

TOP = Path(__file__).parents[1]

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Where things are": (
        "data_dir", "database_url", "redis_url", "redis_max_connections", "blob_url",
        "backup_roots", "secret_key",
    ),
    "Queues and workers": (
        "queue_name", "queue_routes", "arq_max_jobs", "arq_job_timeout", "job_lease_seconds",
        "shutdown_grace_seconds", "worker_poll_interval", "arq_keep_result", "job_retention_days",
    ),
    "The API": (
        "max_upload_bytes", "rate_limit_per_minute", "max_active_jobs_per_user",
        "max_streams_per_user", "metrics_token", "docs",
    ),
    "Logs": ("log_format", "log_level"),
    "The command line": ("headway_url", "headway_token"),
    "Embeddings": (
        "embedding_provider", "embedding_base_url", "embedding_api_key", "embedding_model",
    ),
    "Mail": ("smtp_url", "mail_from", "mail_allowed"),
    "Reservations": ("reservation_ttl_seconds",),
    "Builds and deployments": ("recipes_file", "releases_dir"),
    "Tests": ("failpoint",),
}  # fmt: skip

_INTRODUCTION = """\
# Configuration

Made from `app/settings.py` by `python -m docs.generate`. Do not edit it by hand.

Every name below is read from the environment, then from the file `.env` in the working folder. \
[.env.example](../.env.example) has them all.

* A trailing ` # comment` is stripped from a value, whichever source it comes from.
* An empty value means: not set.
* A bad value is one line on stderr and exit code 2, before anything starts.
* Unknown names are ignored. One that looks like a misspelt setting gets a hint.
* All services of one installation need the same `DATABASE_URL`, `REDIS_URL`, `SECRET_KEY`, \
`QUEUE_ROUTES` and `BLOB_URL`.

Docker Compose reads `.env` too, and needs `POSTGRES_PASSWORD` and `SECRET_KEY` there: \
[guides/production.md](guides/production.md).
"""


def configuration() -> str:
    """The text of docs/configuration.md."""
    parts = [_INTRODUCTION]
    for heading, names in _groups().items():
        parts.append(f"## {heading}\n")
        parts.append("| name | default | meaning |\n| --- | --- | --- |")
        rows = [_row(name) for name in names]
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts).replace("|\n\n|", "|\n|")


def env_example() -> str:
    """The text of .env.example: every setting with its default, all of them commented out."""
    lines = [
        "# Settings of Headway with their defaults. Copy this file to .env and take away the # of",
        "# what you change. docs/configuration.md says more. Made by `python -m docs.generate`.",
    ]
    for heading, names in _groups().items():
        lines += ["", f"# ---- {heading}"]
        for name in names:
            lines += [f"# {_meaning(name)}", f"# {variable(name)}={_default(name)}"]
    return "\n".join(lines) + "\n"


FILES = {"docs/configuration.md": configuration, ".env.example": env_example}


def variable(name: str) -> str:
    """The name of a setting in the environment."""
    alias = Settings.model_fields[name].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else name.upper()


def main(arguments: list[str]) -> int:
    """Write the files, or look whether they are as they would be written."""
    check, stale = arguments == ["--check"], 0
    if arguments and not check:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    for name, make in FILES.items():
        path, text = TOP / name, make()
        if path.exists() and path.read_text() == text:
            continue
        stale += 1
        if check:
            sys.stderr.write(f"{name} is out of date: python -m docs.generate\n")
        else:
            path.write_text(text)
            sys.stdout.write(f"wrote {name}\n")
    return 1 if check and stale else 0


def _groups() -> Mapping[str, tuple[str, ...]]:
    """`GROUPS`. Raises for a setting that is in none of them, or in two, or that is gone."""
    grouped = [name for names in GROUPS.values() for name in names]
    if sorted(grouped) != sorted(Settings.model_fields):
        odd = set(grouped) ^ set(Settings.model_fields)
        raise ValueError(f"docs/generate.py: every setting belongs to one group: {sorted(odd)}")
    return GROUPS


def _row(name: str) -> str:
    default = _default(name)
    shown = f"`{default}`" if default else "not set"
    cells = (f"`{variable(name)}`", shown, _meaning(name).replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


def _meaning(name: str) -> str:
    field = Settings.model_fields[name]
    limits = _limits(field)
    meaning = f"{field.description}; {limits}" if limits else str(field.description)
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        others = [str(one) for one in alias.choices[1:] if str(one).isupper()]
        meaning += f"; also {', '.join(others)}"
    return meaning


def _limits(field: FieldInfo) -> str:
    """What bounds a number, in words."""
    words = []
    for rule in _rules(field):
        if isinstance(rule, annotated_types.Ge):
            words.append(f"at least {rule.ge}")
        elif isinstance(rule, annotated_types.Gt):
            words.append(f"more than {rule.gt}")
        elif isinstance(rule, annotated_types.Le):
            words.append(f"at most {rule.le}")
    return ", ".join(words)


def _rules(field: FieldInfo) -> list[Any]:
    """The field's own rules and those of each type in a union."""
    found = list(field.metadata)
    for part in get_args(field.annotation):
        found += [one for rule in getattr(part, "__metadata__", ()) for one in _flat(rule)]
    return found


def _flat(rule: Any) -> list[Any]:
    return list(rule.metadata) if isinstance(rule, FieldInfo) else [rule]


def _default(name: str) -> str:
    default = Settings.model_fields[name].default
    if default in (None, "", (), {}):
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
