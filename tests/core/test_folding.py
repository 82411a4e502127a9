"""One way to fold text, in Python and in each database."""

import pytest
from sqlalchemy import text

from app.core.db import Database
from app.core.folding import fold, fold_foreign, words

TEXTS = [
    "Plain words, IMG_0001.HEIC and ada@example.com",
    "Été à Zürich: naïve CAFÉ",
    "ПРИВЕТ, как дела? Ёлка",
    "東京駅で会いましょう。",
    "한국어도 됩니다",
    "wow😀🎉great “quoted” – dash…",
    "ﬁne ﬂow ½ Ⅷ",
    "O'Neil and O\u2019Neil",
    "Ελλάδα",
    "",
]


@pytest.mark.parametrize("written", TEXTS)
async def test_the_databases_fold_as_python_does(db: Database, written: str) -> None:
    async with db.reading() as session:
        statement = text("SELECT headway_fold(:written)")
        folded = (await session.execute(statement, {"written": written})).scalar_one()

    assert words_of(folded) == words_of(fold(written))


def test_accents_case_and_signs_do_not_count() -> None:
    assert words("Café-Crème, S'IL_VOUS") == ("cafe", "creme", "s", "il", "vous")


def test_scripts_without_spaces_are_single_characters() -> None:
    assert words("東京 Tower") == ("東", "京", "tower")


def test_plain_text_needs_no_folding() -> None:
    assert fold_foreign("plain") is None
    assert fold_foreign(None) is None
    assert fold_foreign("naïve") == "naive"


def words_of(folded: str | None) -> list[str]:
    return (folded or "").lower().split()
