import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backups.parsers.recurrence import Recurrence, to_rrule

DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
FREQUENCIES = {1: "DAILY", 2: "WEEKLY", 3: "MONTHLY", 4: "YEARLY"}
END = datetime(2024, 9, 23, 16, 0, tzinfo=UTC)

NUMBER = r"-?[1-9]\d{0,2}"
VALUE = {
    "FREQ": "DAILY|WEEKLY|MONTHLY|YEARLY",
    "INTERVAL": r"[1-9]\d*",
    "COUNT": r"[1-9]\d*",
    "UNTIL": r"\d{8}(T\d{6}Z?)?",
    "WKST": "|".join(DAYS),
    "BYDAY": rf"({NUMBER})?({'|'.join(DAYS)})(,({NUMBER})?({'|'.join(DAYS)}))*",
    **dict.fromkeys(
        ("BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYSETPOS"), f"{NUMBER}(,{NUMBER})*"
    ),
}
LETTERS = {"O": "BYMONTH", "W": "BYWEEKNO", "Y": "BYYEARDAY", "M": "BYMONTHDAY", "S": "BYSETPOS"}


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ((1, 1, 0, 1, None), "FREQ=DAILY"),
        ((1, 3, 10, 1, None), "FREQ=DAILY;INTERVAL=3;COUNT=10"),
        ((2, 1, 0, 1, "D=0MO,0WE"), "FREQ=WEEKLY;BYDAY=MO,WE"),
        ((2, 2, 0, 7, "D=0MO"), "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=MO"),
        ((2, 1, 0, 7, "D=0MO"), "FREQ=WEEKLY;BYDAY=MO"),
        ((2, 1, 0, 1, "D=+2MO"), "FREQ=WEEKLY;BYDAY=MO"),
        ((3, 1, 0, 1, "D=+2WE,-1FR"), "FREQ=MONTHLY;BYDAY=2WE,-1FR"),
        ((3, 1, 0, 1, "M=1,15,-1"), "FREQ=MONTHLY;BYMONTHDAY=1,15,-1"),
        ((3, 1, 0, 1, "D=0MO,0TU;S=-1"), "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1"),
        ((4, 1, 0, 1, "O=3,9;D=+1SU"), "FREQ=YEARLY;BYMONTH=3,9;BYDAY=1SU"),
        ((4, 1, 0, 2, "W=20;D=0MO"), "FREQ=YEARLY;WKST=TU;BYWEEKNO=20;BYDAY=MO"),
        ((4, 1, 0, 1, "Y=1,-1"), "FREQ=YEARLY;BYYEARDAY=1,-1"),
        ((3, 1, 0, 1, "S=1"), "FREQ=MONTHLY"),
        ((3, 1, 0, 1, "M=0,32,x;O=13,-1;D=0XX,99MO;Q=1"), "FREQ=MONTHLY"),
        ((2, 1, 0, 1, "M=3"), "FREQ=WEEKLY"),
        ((0, 1, 0, 1, None), None),
        (("weekly", 1, 0, 1, None), None),
        ((None, None, None, None, None), None),
    ],
)
def test_rules(row: Any, rule: str | None) -> None:
    assert to_rrule(Recurrence(*row), None, floating=False, all_day=False) == rule


@pytest.mark.parametrize(
    ("floating", "all_day", "until"),
    [
        (False, False, "20240923T160000Z"),
        (True, False, "20240923T160000"),
        (True, True, "20240923"),
    ],
)
def test_the_end_is_of_the_kind_of_the_start(floating: bool, all_day: bool, until: str) -> None:
    rule = Recurrence(1, 1, 0, 1, None)

    assert to_rrule(rule, END, floating=floating, all_day=all_day) == f"FREQ=DAILY;UNTIL={until}"
    counted = to_rrule(rule._replace(times=5), END, floating=floating, all_day=all_day)
    assert counted == "FREQ=DAILY;COUNT=5"


def numbers(largest: int, *, negative: bool = True) -> st.SearchStrategy[list[int]]:
    one = st.integers(1, largest)
    both = st.one_of(one, one.map(lambda number: -number)) if negative else one
    return st.lists(both, min_size=1, max_size=4, unique=True)


YEARLY = st.fixed_dictionaries(
    {},
    optional={
        "BYMONTH": numbers(12, negative=False),
        "BYYEARDAY": numbers(366),
        "BYMONTHDAY": numbers(31),
        "BYDAY": st.lists(
            st.tuples(st.integers(-53, 53), st.sampled_from(DAYS)), min_size=1, unique=True
        ),
    },
)


@given(YEARLY)
def test_what_a_specifier_says_is_what_the_rule_says(parts: dict[str, Any]) -> None:
    letters = {name: letter for letter, name in LETTERS.items()}
    pieces = [
        "D=" + ",".join(f"{n:+d}{day}" if n else f"0{day}" for n, day in values)
        if name == "BYDAY"
        else f"{letters[name]}=" + ",".join(map(str, values))
        for name, values in parts.items()
    ]

    rule = to_rrule(Recurrence(4, 1, 0, 1, ";".join(pieces)), None, floating=False, all_day=False)

    assert rule is not None
    found = dict(piece.split("=") for piece in rule.split(";"))
    assert found.pop("FREQ") == "YEARLY"
    assert set(found) == set(parts)
    for name, values in parts.items():
        if name == "BYDAY":
            assert found[name] == ",".join((str(n) if n else "") + day for n, day in values)
        else:
            assert list(map(int, found[name].split(","))) == values


SPECIFIER = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="DMOSYW=;,+-0123456789MOTUWEFRSA ", max_size=80),
    st.lists(
        st.tuples(
            st.sampled_from("DMOSYW"),
            st.lists(st.integers(-400, 400).map(str) | st.sampled_from(DAYS), max_size=4),
        ).map(lambda pair: f"{pair[0]}={','.join(pair[1])}")
    ).map(";".join),
)
ANYTHING = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=4), st.binary())


@given(
    st.integers(1, 4) | ANYTHING, ANYTHING, ANYTHING, ANYTHING, SPECIFIER | ANYTHING,
    st.sampled_from([None, END]), st.booleans(),
)  # fmt: skip
def test_every_rule_is_one_of_rfc_5545(
    frequency: Any, interval: Any, times: Any, week: Any, specifier: Any, until: Any, floating: bool
) -> None:
    rule = to_rrule(
        Recurrence(frequency, interval, times, week, specifier),
        until,
        floating=floating,
        all_day=False,
    )

    if rule is None:
        assert frequency not in FREQUENCIES or type(frequency) is not int
        return
    parts = dict(piece.split("=") for piece in rule.split(";"))
    assert len(parts) == rule.count(";") + 1
    for name, value in parts.items():
        assert re.fullmatch(VALUE[name], value), rule
    assert not {"COUNT", "UNTIL"} <= set(parts)
    by = {name for name in parts if name.startswith("BY")}
    assert by != {"BYSETPOS"}
    if parts["FREQ"] != "YEARLY":
        assert not by & {"BYWEEKNO", "BYYEARDAY"}
    if parts["FREQ"] in {"DAILY", "WEEKLY"} or "BYWEEKNO" in by:
        assert not re.search(r"\d", parts.get("BYDAY", ""))
    if parts["FREQ"] == "WEEKLY":
        assert "BYMONTHDAY" not in by
