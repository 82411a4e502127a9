"""How good search is: words, meaning and both together, side by side on the same questions.

    python -m benchmarks.quality [--set squad413 ...] [--questions N]

On SQLite and on a PostgreSQL of its own. The sets are folders of ../shared/data/qa with passages,
questions and which passage answers which.
"""

import argparse
import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.documents import database
from tests.real.corpora import Corpus

SETS = ("squad413", "xquad_zh", "xquad_de")
MODES = ("keyword", "semantic", "hybrid")


async def quality(kind: str, folder: Path, name: str, most: int | None) -> None:
    """One set on one database, in each mode; a line for each."""
    corpus = Corpus(name)
    async with database(kind, folder) as resources:
        await corpus.store(resources)
        questions = corpus.questions[:most]
        for mode in MODES:
            figures = await corpus.ask(resources, questions, mode=mode)
            print(
                f"{kind:11} {name:9} {len(questions):6,} questions, {mode:8}: "
                f"nDCG@10 {figures.ndcg:.4f}, R@1 {figures.first:.4f}",
                flush=True,
            )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    asked.add_argument("--set", choices=SETS, action="append")
    asked.add_argument("--questions", type=int, help="only the first so many of each set")
    given = asked.parse_args()
    for kind in given.database or ["sqlite", "postgresql"]:
        for name in given.set or SETS:
            with TemporaryDirectory(prefix="headway-bench-") as folder:
                asyncio.run(quality(kind, Path(folder), name, given.questions))


if __name__ == "__main__":
    main()
