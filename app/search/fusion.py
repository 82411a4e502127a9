"""One order out of several: reciprocal rank fusion.

A hit is worth the sum of 1 / (K + rank) over the lists that have it, so scores of different kinds
never have to be compared. Source: Cormack, Clarke and Büttcher, SIGIR 2009.
"""

from collections.abc import Sequence
from uuid import UUID

from app.core.search import Found, Hit

Place = tuple[str, UUID, int | None]  # `Hit.place`

K = 10  # small: the first places count for much more than the later ones
_LOOSE = 50  # places by which hits that have only some of the words stand behind the others


def fuse(answers: Sequence[tuple[frozenset[str], Found]], best: int) -> Found:
    """The `best` hits of all answers. One answer alone stays as it is, scores included.

    Args:
        answers: each with the kinds of things that it may hold. Answers over the same kinds find
            the same things in several ways, so of their totals the largest counts.
        best: how many hits are wanted.
    """
    totals: dict[frozenset[str], int] = {}
    for kinds, answer in answers:
        totals[kinds] = max(totals.get(kinds, 0), answer.total)
    speaking = [answer for _, answer in answers if answer.hits]
    if len(speaking) <= 1:
        hits = speaking[0].hits[:best] if speaking else []
        return Found(hits, sum(totals.values()))
    scores: dict[Place, float] = {}
    first: dict[Place, Hit] = {}
    for answer in speaking:
        for rank, hit in enumerate(answer.hits, start=_LOOSE if answer.loose else 0):
            first.setdefault(hit.place, hit)
            scores[hit.place] = scores.get(hit.place, 0.0) + 1 / (K + rank)
    order = sorted(first, key=lambda place: -scores[place])
    fused = [first[place]._replace(score=round(scores[place], 6)) for place in order[:best]]
    return Found(fused, max(sum(totals.values()), len(first)))
