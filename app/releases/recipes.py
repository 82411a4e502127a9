"""The operator's file of recipes: what a build runs, what it makes, how it is checked.

    [recipes.site]
    command = ["make", "site"]       # no shell, unless the recipe itself names one
    artifacts = ["dist/**"]          # below the working folder; a folder stands for all of its files
    timeout = 1800                   # seconds
    workdir = "checkout"             # below the build's own folder, or an absolute path
    env = { NODE_ENV = "production" }
    ref_pattern = "^v[0-9.]+$"
    health_check = ["curl", "-fsS", "http://127.0.0.1/health"]
    health_timeout = 30              # seconds
    keep = 5                         # releases of an environment, the live one included
    disk_bytes = 2147483648          # that the build's own folder may hold

The file is the operator's word, so it must be writable by nobody else.
"""

import os
import re
import stat
import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from app.core.errors import Invalid

REF_PATTERN = "^[A-Za-z0-9._/-]{1,100}$"
REF_CHARACTERS = 255

_FILE_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = {"HOME", "HEADWAY_REF"}


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Word = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
Command = Annotated[tuple[Word, ...], Field(min_length=1, max_length=1000)]


class Recipe(BaseModel):
    """One recipe, checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    command: Annotated[Command, Field(strict=False)]
    artifacts: Annotated[
        tuple[Word, ...],
        BeforeValidator(_as_list),
        Field(min_length=1, max_length=100, strict=False),
    ]
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1800
    workdir: Word | None = None
    env: dict[str, str] = Field(default_factory=dict)
    ref_pattern: Annotated[str, Field(max_length=1000)] = REF_PATTERN
    health_check: Annotated[Command, Field(strict=False)] | None = None
    health_timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30
    keep: Annotated[int, Field(ge=1, le=1000)] = 5
    disk_bytes: Annotated[int, Field(ge=1 << 16)] = 2 << 30

    @field_validator("artifacts")
    @classmethod
    def _inside(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            path = PurePosixPath(pattern)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError("must lie below the working folder")
            next(Path(os.devnull).glob(pattern), None)  # raises ValueError for what is no pattern
        return patterns

    @field_validator("workdir")
    @classmethod
    def _no_way_up(cls, workdir: str | None) -> str | None:
        if workdir is not None and ".." in PurePosixPath(workdir).parts:
            raise ValueError("must not contain ..")
        return workdir

    @field_validator("env")
    @classmethod
    def _variables(cls, env: dict[str, str]) -> dict[str, str]:
        for name, value in env.items():
            if not _VARIABLE.fullmatch(name) or name in _RESERVED:
                raise ValueError(f"{name!r} cannot be set here")
            if "\0" in value:
                raise ValueError(f"{name!r} holds a NUL")
        return env

    @field_validator("ref_pattern")
    @classmethod
    def _a_pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError("not a regular expression") from error
        return pattern

    def check_ref(self, ref: str | None) -> None:
        """Raises `Invalid` for a ref that the recipe does not take. None is always taken."""
        if ref is None:
            return
        fits = len(ref) <= REF_CHARACTERS and "\0" not in ref and ".." not in ref
        if not fits or not re.fullmatch(self.ref_pattern, ref):
            field = [{"pointer": "#/body/ref", "field": "ref", "detail": "does not fit the recipe"}]
            raise Invalid("the ref does not fit the recipe", code="bad_ref", errors=field)

    def variables(self, ref: str | None) -> dict[str, str]:
        """What the recipe's commands see besides PATH, LANG and HOME."""
        return self.env | ({} if ref is None else {"HEADWAY_REF": ref})


def read_recipe(path: Path, name: str) -> Recipe:
    """The recipe `name` of the file as it stands now.

    Raises:
        Invalid: the file is missing, broken (with the line), writable by others, or has no
            such recipe.
    """
    text = _read(path)
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error).replace("end of document", f"line {len(text.splitlines())}, the end")
        raise _broken(f"recipes file: {said}") from error
    tables = found.get("recipes", {})
    if not isinstance(tables, dict):
        raise _broken(f"recipes file, line {_line_of(text, 'recipes')}: recipes must be a table")
    for each in tables:
        if not _NAME.fullmatch(each):
            raise _broken(f"recipes file: {each!r} is no name for a recipe")
    recipes = {each: _recipe(text, each, table) for each, table in tables.items()}
    if name not in recipes:
        field = [
            {"pointer": "#/body/recipe", "field": "recipe", "detail": "there is no such recipe"}
        ]
        raise Invalid("there is no such recipe", code="unknown_recipe", errors=field)
    return recipes[name]


def _recipe(text: str, name: str, table: Any) -> Recipe:
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = str(first["loc"][0]) if first["loc"] else None
        line = _line_of(text, name, key)
        what = f"recipes.{name}" + (f".{key}" if key else "")
        said = str(first["msg"]).removeprefix("Value error, ")
        raise _broken(f"recipes file, line {line}: {what}: {said}") from error


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            _refuse_strangers(os.fstat(file.fileno()), path)
            content = file.read(_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise Invalid(
            "there is no recipes file (RECIPES_FILE), so no recipe is known", code="unknown_recipe"
        ) from error
    except OSError as error:
        raise _broken(f"recipes file: {error.strerror}") from error
    if len(content) > _FILE_BYTES:
        raise _broken(f"recipes file: larger than {_FILE_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _broken(f"recipes file, line {line}: not UTF-8") from error


def _refuse_strangers(file: os.stat_result, path: Path) -> None:
    """Whoever can write the file, or exchange it in its folder, runs programs as the worker."""
    folder = path.parent.stat()
    open_folder = folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX
    if not stat.S_ISREG(file.st_mode):
        raise _broken("recipes file: not a file")
    if file.st_mode & stat.S_IWOTH or open_folder:
        raise _broken("recipes file: writable by others; chmod o-w the file and its folder")
    if hasattr(os, "getuid") and file.st_uid not in (0, os.getuid()):
        raise _broken("recipes file: belongs to another user")


def _line_of(text: str, table: str, key: str | None = None) -> int:
    """The line of a recipe's key, else of its head; 1 where it is written in another form."""
    head = re.compile(rf"\s*\[\s*recipes\s*\.\s*[\"']?{re.escape(table)}[\"']?\s*[.\]]")
    found = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if head.match(line):
            found = found or number
        elif found and line.lstrip().startswith("["):
            break
        elif found and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[.=]", line):
            return number
    return found or 1


def _broken(sentence: str) -> Invalid:
    return Invalid(sentence, code="broken_recipes")
