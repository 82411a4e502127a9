"""`headway token`: who may call the API. Works on DATABASE_URL; there is no other way in."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.auth import create_token, hash_of, list_tokens, revoke_token
from app.api.models import TokenRow
from app.cli.local import require_database
from app.cli.output import JsonFlag, emit, moment, print_table, quiet
from app.core import loops
from app.core.db import Database
from app.core.errors import AppError, NotFound
from app.settings import load_settings

app = typer.Typer(
    help="Create, list and revoke API tokens, in the database itself.", no_args_is_help=True
)

T = TypeVar("T")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The user, made if new.")],
    admin: Annotated[bool, typer.Option("--admin", help="Make the user an admin.")] = False,
    days: Annotated[
        float | None, typer.Option(help="Days until the token expires; without it never.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make one more token for NAME and print it: this is the only time it can be seen."""
    token = _in_transaction(lambda session: create_token(session, name, admin=admin, days=days))
    if as_json:
        emit({"token": token, "user": name})
    else:
        print(token)


@app.command("list")
def list_all(as_json: JsonFlag = False) -> None:
    """List all tokens, oldest first; of the token itself only the last characters are kept."""
    found = _in_transaction(list_tokens)
    if as_json:
        emit({"tokens": found, "total": len(found)})
        return
    print_table(
        ("id", "user", "admin", "ends in", "created", "expires", "revoked"),
        (
            (
                token["id"],
                token["user"],
                "yes" if token["admin"] else "",
                token["hint"],
                moment(token["created_at"]),
                moment(token["expires_at"]) or "never",
                moment(token["revoked_at"]),
            )
            for token in found
        ),
    )


@app.command()
def revoke(
    which: Annotated[
        str,
        typer.Argument(
            metavar="TOKEN", help="A token's id, the beginning of it, the token, or a user's name."
        ),
    ],
    as_json: JsonFlag = False,
) -> None:
    """End a token, or all tokens of a user; within 5 s they are dead in every process."""
    ended = _in_transaction(lambda session: revoke_any(session, which))
    if as_json:
        emit({"revoked": ended})
        return
    for token_id in ended:
        print(f"revoked {token_id}")


async def revoke_any(session: AsyncSession, which: str) -> list[UUID]:
    """End what `which` names, and give back the tokens' ids. Raises `NotFound`."""
    statement = select(TokenRow.id).where(TokenRow.token_hash == hash_of(which.strip()))
    itself = (await session.execute(statement)).scalar_one_or_none()
    if itself is not None:
        return [await revoke_token(session, itself)]
    try:
        return [await revoke_token(session, which)]
    except AppError:
        theirs = [t for t in await list_tokens(session) if t["user"] == which]
        if not theirs:
            raise
    live: list[dict[str, Any]] = [token for token in theirs if token["revoked_at"] is None]
    if not live:
        raise NotFound(f"{which} has no live token")
    return [await revoke_token(session, token["id"]) for token in live]


def _in_transaction(work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    settings = load_settings()
    quiet()

    async def done() -> T:
        db = Database(settings.database_url)
        require_database(db)
        try:
            async with db.transaction() as session:
                return await work(session)
        finally:
            await db.close()

    return loops.run(done())
