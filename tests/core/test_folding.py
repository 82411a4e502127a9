"""One way to fold text, in Python and in each database."""

import re
import unicodedata
from functools import cache

import pytest
from sqlalchemy import text

from app.core import folding
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
    "がぎぐ ｶﾞ",
    "שָׁלוֹם",
    "नमस्ते क़लम",
    "a-b=c\nd'e ❤️ 東京 ≠",
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


def test_what_the_database_does_not_take_apart_would_stay_as_it_is() -> None:
    for character in characters(folding._STABLE):
        assert unicodedata.normalize("NFKD", character) == character
        assert not unicodedata.combining(character)
        assert character not in joined()
    for character in characters(folding._SIMPLE):
        plain = re.sub(f"[{folding._MARKS}]", "", unicodedata.normalize("NFKD", character))
        assert not joined().intersection(plain)


def characters(ranges: str) -> list[str]:
    return [one for one in map(chr, range(0x110000)) if re.match(f"[{ranges}]", one)]


@cache
def joined() -> set[str]:
    """Characters that NFC joins with the one before them, but for the marks, which are gone."""
    pairs = (unicodedata.decomposition(chr(one)).split() for one in range(0x110000))
    seconds = {chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2 and "<" not in pair[0]}
    jamo = {chr(one) for one in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    return {one for one in seconds | jamo if not re.match(f"[{folding._MARKS}]", one)}
