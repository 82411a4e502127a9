"""One order out of several: reciprocal rank fusion.

A hit is worth the sum of 1 / (K + rank) over the lists that have it, so scores of different kinds
never have to be compared. Source: Cormack, Clarke and Büttcher, SIGIR 2009.
"""

from collections.abc import Sequence
from uuid import UUID

from app.core.search import Found, Hit

K = 10  # small: the first places count for much more than the later ones


def fuse(answers: Sequence[Found], best: int) -> Found:
    """The `best` hits of all answers. One answer alone stays as it is, scores included.

    The total counts what each answer has that none before it could have had: answers over the
    same kinds of things overlap, and then the largest one counts.
    """
    speaking = [answer for answer in answers if answer.hits]
    if len(speaking) <= 1:
        return speaking[0] if speaking else Found([], 0)
    scores: dict[tuple[str, UUID], float] = {}
    hits: dict[tuple[str, UUID], Hit] = {}
    for answer in speaking:
        for rank, hit in enumerate(answer.hits):
            key = (hit.kind, hit.id)
            hits.setdefault(key, hit)
            scores[key] = scores.get(key, 0.0) + 1 / (K + rank)
    order = sorted(hits, key=lambda key: -scores[key])
    fused = [hits[key]._replace(score=round(scores[key], 6)) for key in order[:best]]
    return Found(fused, max(sum(answer.total for answer in speaking), len(hits)))
