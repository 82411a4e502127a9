"""The environment, read once and frozen. docs/configuration.md and .env.example are made from it.

A trailing ` # comment` is stripped from every value, whichever source it comes from, because
people copy lines of .env files into unit files and compose files.
"""

import difflib
import os
import re
import secrets
import sys
from collections.abc import Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.core.db import database_url

_COMMENT = re.compile(r"\s+#.*$")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_KEY_BYTES = 32


def _routes(text: Any) -> Any:
    """`kind=queue,kind=queue` as a mapping."""
    if not isinstance(text, str):
        return text
    pairs = [part.split("=", 1) for part in text.split(",") if part.strip()]
    if any(
        len(pair) != 2 or not all(_NAME.fullmatch(part.strip()) for part in pair) for pair in pairs
    ):
        raise ValueError("write it as kind=queue,kind=queue")
    return {kind.strip(): queue.strip() for kind, queue in pairs}


def _paths(text: Any) -> Any:
    """`a:b` (on Windows `a;b`) as a tuple of paths."""
    if not isinstance(text, str):
        return text
    return tuple(Path(part) for part in text.split(os.pathsep) if part)


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
QueueName = Annotated[str, Field(pattern=rf"^{_NAME.pattern}$")]


class Settings(BaseSettings):
    """Everything that a person can set; the names in the environment are these in capitals."""

    model_config = SettingsConfigDict(
        frozen=True, env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True
    )

    data_dir: Path = Field(Path("data"), description="where everything is kept by default")
    database_url: str = Field(
        "", description="PostgreSQL or SQLite; unset: a SQLite file in DATA_DIR"
    )
    redis_url: SecretStr | None = Field(
        None,
        description="set: jobs are delivered by ARQ; unset: by the database alone",
        validation_alias=AliasChoices("REDIS_URL", "IOS_BACKUP_REDIS__URL", "redis_url"),
    )
    redis_max_connections: Count = Field(10, description="connections of one process to Redis")
    queue_name: QueueName = Field("default", description="the queue this ARQ worker consumes")
    queue_routes: Annotated[Mapping[str, str], NoDecode, BeforeValidator(_routes)] = Field(
        {}, description="which queue a kind goes to: kind=queue,kind=queue"
    )
    arq_job_timeout: Seconds = Field(
        3600, description="seconds; default and ceiling of a kind's timeout, per attempt"
    )
    arq_max_jobs: Annotated[int, Field(ge=1, le=10_000)] = Field(
        10, description="jobs at once in a worker, both engines"
    )
    arq_keep_result: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        3600, description="seconds for which an ended job is certain to be readable"
    )
    job_retention_days: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        30, description="days for which ended jobs are kept (maintenance kinds: 1)"
    )
    job_lease_seconds: Annotated[float, Field(ge=1, allow_inf_nan=False)] = Field(
        15, description="a running job whose lease is this old has lost its worker"
    )
    shutdown_grace_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        8, description="how long builds and deployments may go on after SIGTERM"
    )
    worker_poll_interval: Seconds = Field(
        0.5, description="seconds; the safety-net poll of the database engine"
    )
    reservation_ttl_seconds: Seconds = Field(600, description="a token reservation's longest life")
    secret_key: SecretStr | None = Field(
        None, description="32 bytes, the same everywhere; unset: made in DATA_DIR/secret.key"
    )
    backup_roots: Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_paths)] = Field(
        (), description="folders below which backups may be named; unset: DATA_DIR/backups"
    )
    blob_url: str = Field(
        "", description="file:///dir or s3://bucket/prefix; unset: DATA_DIR/blobs"
    )
    embedding_provider: Literal["local", "openai"] = Field("local", description="local or openai")
    embedding_base_url: str | None = Field(None, description="for openai: the server's address")
    embedding_api_key: SecretStr | None = Field(None, description="for openai: its key")
    embedding_model: str | None = Field(None, description="for openai: the model's name")
    smtp_url: SecretStr | None = Field(
        None,
        description="smtp://user:pass@host:port or smtps://…; unset: reminders are logged, not mailed",
    )
    mail_from: str | None = Field(None, description="the sender; must be set with SMTP_URL")
    mail_allowed: str | None = Field(
        None, description="pattern of recipients (whole) open to non-admins; unset: any"
    )
    recipes_file: Path | None = Field(None, description="builds; unset: DATA_DIR/recipes.toml")
    releases_dir: Path | None = Field(None, description="deployments; unset: DATA_DIR/releases")
    max_upload_bytes: Count = Field(209_715_200, description="the largest upload")
    rate_limit_per_minute: Count | None = Field(
        None, description="requests that start work, per user; unset: no limit"
    )
    max_active_jobs_per_user: Count | None = Field(
        None, description="queued and running jobs per user; unset: no limit"
    )
    max_streams_per_user: Count = Field(200, description="live streams per user")
    metrics_token: SecretStr | None = Field(None, description="bearer for /metrics; unset: open")
    docs: Literal["on", "off"] = Field("on", description="/docs and /openapi.json: on or off")
    log_format: Literal["console", "json"] | None = Field(
        None, description="console or json; unset: console on a terminal, else json"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning or error"
    )
    headway_url: str = Field("http://127.0.0.1:8000", description="where the command line calls")
    headway_token: SecretStr | None = Field(
        None, description="the command line's token; unset: it works on DATABASE_URL, as admin"
    )

    failpoint: str = Field("", description="for tests: name:exit makes the process die there")

    @model_validator(mode="before")
    @classmethod
    def _strip_comments(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        stripped = {
            name: _COMMENT.sub("", f" {value}").strip() if isinstance(value, str) else value
            for name, value in values.items()
        }
        return {name: value for name, value in stripped.items() if value != ""}

    @field_validator("log_level", "docs", "embedding_provider", "log_format", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if value:
            try:
                database_url(value)
            except Exception as error:  # its text may hold the password
                raise ValueError("not an address of PostgreSQL or SQLite") from error
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value

    @field_validator("blob_url")
    @classmethod
    def _known_blobs(cls, value: str) -> str:
        parts = urlsplit(value)
        if (
            value
            and not (parts.scheme == "file" and parts.path)
            and not (parts.scheme == "s3" and parts.netloc)
        ):
            raise ValueError("must be file:///folder or s3://bucket/prefix")
        return value

    @field_validator("smtp_url")
    @classmethod
    def _known_smtp(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                parts = urlsplit(value.get_secret_value())
                known = parts.scheme in ("smtp", "smtps") and parts.hostname and parts.port != 0
            except ValueError as error:  # its text may hold the password
                raise ValueError("must be smtp://user:password@host:port or smtps://…") from error
            if not known:
                raise ValueError("must be smtp://user:password@host:port or smtps://…")
        return value

    @field_validator("mail_from")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is not None and not (value.isprintable() and "@" in parseaddr(value)[1]):
            raise ValueError("not an address")
        return value

    @field_validator("mail_allowed")
    @classmethod
    def _a_pattern(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError("not a regular expression") from error
        return value

    @model_validator(mode="after")
    def _fill_in(self) -> Self:
        if self.smtp_url is not None and self.mail_from is None:
            raise ValueError("MAIL_FROM must be set when SMTP_URL is set")
        if self.embedding_provider == "openai" and not self.embedding_base_url:
            raise ValueError("EMBEDDING_BASE_URL must be set when EMBEDDING_PROVIDER is openai")
        data = self.data_dir.absolute()
        object.__setattr__(self, "data_dir", data)
        for name, default in (
            ("database_url", f"sqlite+aiosqlite:///{data / 'headway.db'}"),
            ("backup_roots", (data / "backups",)),
            ("blob_url", (data / "blobs").as_uri()),
            ("recipes_file", data / "recipes.toml"),
            ("releases_dir", data / "releases"),
        ):
            if not getattr(self, name):
                object.__setattr__(self, name, default)
        return self

    @property
    def json_logs(self) -> bool:
        """Whether logs are JSON lines."""
        return (self.log_format or ("console" if sys.stderr.isatty() else "json")) == "json"

    def secret(self) -> bytes:
        """The key that seals secrets; made with mode 0600 at its first use."""
        if self.secret_key is not None:
            return self.secret_key.get_secret_value().encode()
        path = self.data_dir / "secret.key"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_bytes()
        with os.fdopen(handle, "wb") as file:
            file.write(key := secrets.token_bytes(_KEY_BYTES))
        return key


def load_settings(**overrides: Any) -> Settings:
    """Read the environment; a bad value is one clear line on stderr and exit code 2."""
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        for line in sorted({_sentence(dict(problem)) for problem in error.errors()}):
            print(f"headway: {line}", file=sys.stderr)  # noqa: T201 -- before logging exists
        raise SystemExit(2) from None
    for hint in near_misses(os.environ):
        print(f"headway: {hint}", file=sys.stderr)  # noqa: T201
    return settings


def near_misses(environment: Mapping[str, str]) -> list[str]:
    """A hint for each name that looks like a misspelt setting."""
    ours = [name.upper() for name in Settings.model_fields]
    hints = []
    for name in sorted(environment):
        if name in ours or name == "IOS_BACKUP_REDIS__URL":
            continue
        close = difflib.get_close_matches(name, ours, n=1, cutoff=0.85)
        if close:
            hints.append(f"{name} is not a setting; did you mean {close[0]}?")
    return hints


def _sentence(problem: dict[str, Any]) -> str:
    """One line that names the setting and what is wrong, without repeating its value."""
    message = str(problem["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:] if message[:2].istitle() else message
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where.upper()}: {message}" if where else message
