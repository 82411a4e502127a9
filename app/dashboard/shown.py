"""How a job reads to people. `static/app.js` says the same of a job that changes; keep them alike."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from app.jobs.store.read import JobView

_LONG = 4_000  # characters of a result or a checkpoint that are shown


def state(job: JobView) -> str:
    """Where it stands in a word: its stage while it runs."""
    if job.status == "running":
        return "stopping" if job.cancel_requested else job.stage or "running"
    return "scheduled" if job.status == "queued" and job.scheduled_at else job.status


def items(job: JobView) -> str:
    """`120 of 150`, with the failed ones named; empty before anything is done."""
    done = job.processed_items + job.failed_items
    if job.total_items is None:
        counted = f"{done:,}" if done else ""
    else:
        counted = f"{done:,} of {job.total_items:,}"
    return f"{counted}, {job.failed_items:,} failed" if job.failed_items else counted


def pace(job: JobView) -> str:
    """Rate and time left, as far as they are known."""
    parts = []
    if job.items_per_second is not None:
        rate = job.items_per_second
        parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
    if job.eta_seconds is not None:
        parts.append(f"{duration(job.eta_seconds)} left")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """Rounded to what matters: `8 s`, `3 min`, `2 h`, `4 d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def ago(moment: str, now: datetime) -> str:
    """How long ago a time of the wire was; of one ahead, in how long."""
    seconds = (now - datetime.fromisoformat(moment)).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{duration(seconds)} ago" if seconds > 0 else f"in {duration(-seconds)}"


def took(job: JobView, now: datetime) -> str:
    """From the start of the last attempt to the end, or until now; empty if it never started."""
    if job.started_at is None:
        return ""
    end = now if job.completed_at is None else datetime.fromisoformat(job.completed_at)
    return duration(max(0.0, (end - datetime.fromisoformat(job.started_at)).total_seconds()))


def clock(moment: str, now: datetime) -> str:
    """A time of the wire to the second, in UTC; without the day if that is today's."""
    given = datetime.fromisoformat(moment).astimezone(UTC)
    same_day = given.date() == now.astimezone(UTC).date()
    return given.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M:%S")


def document(text: str | None) -> str:
    """JSON on several lines; a long one is cut."""
    if not text:
        return ""
    shown = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return shown if len(shown) <= _LONG else f"{shown[:_LONG]}\n…"


def facts(data: msgspec.Raw | None) -> str:
    """What a line of the audit trail adds, in one line: `stage: messages, reason: shutdown`."""
    if data is None:
        return ""
    found = json.loads(bytes(data))
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in found.items())


def pieces(text: str | None, spans: Sequence[Sequence[int]] | None) -> list[tuple[str, bool]]:
    """A text cut at `spans`, [start, end) in characters: each piece, and whether it is inside one."""
    text, found, at = text or "", [], 0
    for start, end in spans or ():
        if at <= start < end <= len(text):
            found += [(text[at:start], False), (text[start:end], True)]
            at = end
    return [(part, hit) for part, hit in [*found, (text[at:], False)] if part]
