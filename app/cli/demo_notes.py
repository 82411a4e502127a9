"""The demo's notes, which are made up, and the embedding of them all."""

import itertools

from app.cli.over_http import HttpJobs

NOTES = 150
_THINGS = (
    "the boat", "the garden", "grandmother's recipes", "the trip to Lisbon", "piano lessons",
    "the tax return", "Mia's birthday", "the leaking roof", "the reading club", "the marathon",
)  # fmt: skip
_MATTERS = (
    ("Ideas", "Three things worth trying, from cheap to bold. Sleep on them first."),
    ("To do", "Call on Monday, compare two offers, and write down what was agreed."),
    ("Costs", "Less than last year, more than planned. The receipts are in the blue folder."),
    ("What went wrong", "We began too late and nobody had the key. Next time: a list."),
    ("People to ask", "Anna knows somebody. Her brother did the same two summers ago."),
    ("Dates", "The first weekend in June suits everybody, the second one only some."),
    ("Questions", "How long does it last, who looks after it, and what if it rains?"),
    ("Packing list", "Gloves, a torch, sandwiches, the long rope and something to read."),
    ("Lessons", "Small steps every day beat one heroic effort. Rest is part of it."),
    ("Quotes", "“It need not be perfect, it needs to be there,” said the neighbour."),
    ("Measurements", "Four metres ten by two sixty; the door is eighty-one wide."),
    ("Weather", "Rain until noon, then wind from the west. The barometer was right."),
    ("Letters", "Answer the one from the office; the others can wait until autumn."),
    ("Photographs", "The best ones are from the evening, when the light came in low."),
    ("Next year", "Start in February, with fewer people and more time for each."),
)


async def write_notes(api: HttpJobs) -> str:
    """Write `NOTES` notes and have all of them embedded; the id of the job that does so."""
    written = itertools.islice(itertools.product(_THINGS, _MATTERS), NOTES)
    for thing, (matter, text) in written:
        note = {"title": f"{matter}: {thing}", "content": text}
        await api.ask_patiently("POST", "/notes", json=note)
    answer = await api.ask_patiently("POST", "/semantic/regenerate-embeddings", json={})
    return str(answer["job_id"])
