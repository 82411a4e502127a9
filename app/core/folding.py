"""Text in the form that is compared when somebody searches: accents, case and signs do not count.

Scripts without spaces (Chinese, Japanese, Korean, Thai) are taken apart into single characters: a
query then is a phrase of them, which finds every part of a word, also one of two characters. Both
databases index what comes out here; on PostgreSQL the same is done by the function
`headway_fold(text)` (`POSTGRESQL`), on SQLite by this one under that name.
"""

import re
import unicodedata
from functools import lru_cache

_SIGNS = "_./@-:+#&?=%~'\u2019"  # would glue words together: in file names, addresses, links
_MARKS = "\u0300-\u036f"
_BLANK = (
    "\u00a1-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u2000-\u206f\u2100-\u2bff"
    "\u3000-\u3004\u3008-\u303f\ufe00-\ufe0f\uff00-\uff0f\ufffc\ufffd\U0001f000-\U0001faff"
)
_SINGLE = (
    "\u0e00-\u0e7f\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0003134f"
)

_signs = {ord(sign): " " for sign in _SIGNS}
_marks = re.compile(f"[{_MARKS}]")
_blank = re.compile(f"[{_BLANK}]")
_single = re.compile(f"([{_SINGLE}])")
_word = re.compile(r"[^\W_]+")


def fold(text: str | None) -> str | None:
    """The text as it is compared; None for None. Words are what `words` finds in it."""
    if text is None:
        return None
    spaced = text.translate(_signs)
    if spaced.isascii():
        return spaced.lower()
    plain = unicodedata.normalize("NFC", _marks.sub("", unicodedata.normalize("NFKD", spaced)))
    return _single.sub(r" \1 ", _blank.sub(" ", plain)).lower()


def fold_foreign(text: str | None) -> str | None:
    """The same for text that is not plain ASCII; None for the rest, which needs no folding."""
    return None if text is None or text.isascii() else fold(text)


@lru_cache(maxsize=4096)
def words(text: str) -> tuple[str, ...]:
    """The words of a text, folded, in order."""
    return tuple(_word.findall(fold(text) or ""))


def is_single(word: str) -> bool:
    """Whether a word is one character of a script without spaces."""
    return _single.fullmatch(word) is not None


def _sql(characters: str) -> str:
    """Characters of a class as PostgreSQL writes them, so that the statement is plain ASCII."""
    return "".join(
        one if " " <= one <= "~" else f"\\+{ord(one):06X}"
        for one in characters
    )  # fmt: skip


def _regexp(text: str, characters: str, by: str) -> str:
    """The characters of a class replaced; `translate` would take ten times as long."""
    return f"regexp_replace({text}, U&'{characters}', '{by}', 'g')"


_APART = r" \1 "
# Most text needs little of what any text may need, and asking is cheap. Of `_STABLE` characters
# none is taken apart by NFKD or joined with another; without marks, `_SIMPLE` ones stay apart.
_STABLE = (
    "\u0001-\u007f\u2010\u2012-\u2016\u2018-\u2023\u2600-\u27bf\u4e00-\u9fff\ufe00-\ufe0f"
    "\U0001f300-\U0001faff"
)
_SIMPLE = _STABLE + "\u0080-\u058f\u1e00-\u2bff"

_CLASS_OF_SIGNS = _sql("".join(sorted(_SIGNS, key="-".__eq__))).replace("'", "''")  # "-" ends it
_WITHOUT_SIGNS = _regexp("t", f"[{_CLASS_OF_SIGNS}]", " ")
_WITHOUT_MARKS = _regexp(f"normalize({_WITHOUT_SIGNS}, NFKD)", f"[{_sql(_MARKS)}]", "")
_PLAIN = f"""CASE WHEN t !~ U&'[^{_sql(_STABLE)}]' THEN {_WITHOUT_SIGNS}
        WHEN t !~ U&'[^{_sql(_SIMPLE)}]' THEN {_WITHOUT_MARKS}
        ELSE normalize({_WITHOUT_MARKS}, NFC) END"""

POSTGRESQL = rf"""
DO $do$
DECLARE
  chosen text;
BEGIN
  -- A database of locale C knows no case outside ASCII; one of these collations is always there.
  SELECT 'COLLATE ' || quote_ident(collname) INTO chosen FROM pg_collation
  WHERE collname IN ('pg_c_utf8', 'C.utf8', 'C.UTF-8', 'und-x-icu')
    AND collencoding IN (-1, pg_char_to_encoding('UTF8'))
  ORDER BY array_position(ARRAY['pg_c_utf8', 'C.utf8', 'C.UTF-8', 'und-x-icu'], collname::text)
  LIMIT 1;
  EXECUTE replace($create$
    CREATE OR REPLACE FUNCTION headway_fold(t text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $body$
      SELECT CASE WHEN octet_length(t) = length(t) THEN {_WITHOUT_SIGNS}
      ELSE lower({_regexp(_regexp(_PLAIN, f"[{_sql(_BLANK)}]", " "), f"([{_sql(_SINGLE)}])", _APART)} <collation>) END
    $body$
  $create$, '<collation>', coalesce(chosen, ''));
  IF NOT EXISTS (SELECT FROM pg_ts_config WHERE cfgname = 'headway') THEN
    -- English stems and no stop words: nothing that somebody wrote is unfindable.
    CREATE TEXT SEARCH DICTIONARY headway_stem (TEMPLATE = snowball, Language = english);
    CREATE TEXT SEARCH CONFIGURATION headway (COPY = simple);
    ALTER TEXT SEARCH CONFIGURATION headway ALTER MAPPING FOR
      asciiword, word, hword, hword_part, hword_asciipart, asciihword WITH headway_stem;
  END IF;
END
$do$
"""  # noqa: S608 -- characters from this page
