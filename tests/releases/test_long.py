"""Many builds and deployments on three workers, and a reader that is never let down."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeSettings
from tests.releases.crew import Crew, open_crew
from tests.releases.site import Site, shell

pytestmark = pytest.mark.long

BUILDS, ENVIRONMENTS, EACH = 20, ("blue", "green", "red", "white"), 10


@pytest.mark.parametrize("engine", ["database", "arq"])
async def test_exclusive_in_order_and_side_by_side(
    request: pytest.FixtureRequest, make_settings: MakeSettings, tmp_path: Path, engine: str
) -> None:
    changes: dict[str, Any] = {}
    if engine == "arq":
        changes["redis_url"] = request.getfixturevalue("valkey").url
    async with open_crew(make_settings(**changes), engine, tmp_path) as crew:
        check = ["sh", "-c", "sleep 0.3"]
        crew.site.recipes(site=shell("echo $HEADWAY_REF > index.html", health_check=check))
        await asyncio.gather(*(crew.hire() for _ in range(3)))
        first = await crew.site.ask_build()
        await crew.ended(f"/builds/{first['build_id']}")

        builds = [await crew.site.ask_build(ref=f"v{n}") for n in range(BUILDS)]
        deployments = [
            (name, await crew.site.ask_deployment(first["build_id"], name))
            for _ in range(EACH)
            for name in ENVIRONMENTS
        ]
        for each in builds:
            view = await crew.ended(f"/builds/{each['build_id']}", 240)
            assert view["error_message"] is None, view["error_message"]
        for _, each in deployments:
            view = await crew.ended(f"/deployments/{each['deployment_id']}", 240)
            assert view["error_message"] is None, view["error_message"]

        await _judge(crew, builds, deployments, request)


async def _judge(
    crew: Crew,
    builds: list[dict[str, Any]],
    deployments: list[tuple[str, dict[str, Any]]],
    request: pytest.FixtureRequest,
) -> None:
    """From the audit trail alone."""
    spans: dict[str, dict[str, str]] = {}
    for line in await crew.audit_of_all():
        spans.setdefault(line["entity_id"], {})[line["action"]] = line["at"]
    built = [spans[each["build_id"]] for each in builds]
    lanes = {
        name: [spans[each["deployment_id"]] for where, each in deployments if where == name]
        for name in ENVIRONMENTS
    }

    for lane in (built, *lanes.values()):
        assert all(set(span) == {"requested", "started", "succeeded"} for span in lane)
        for before, after in pairwise(lane):  # in the order of asking, never two at once
            assert before["succeeded"] <= after["started"]
    overlaps = sum(
        one["started"] < other["succeeded"] and other["started"] < one["succeeded"]
        for name, lane in lanes.items()
        for other_name, other_lane in lanes.items()
        if name < other_name
        for one in lane
        for other in other_lane
    )
    assert overlaps
    request.node.user_properties.append(("overlapping deployments", overlaps))


async def test_a_reader_never_misses_a_file_and_never_sees_a_mixture(
    site: Site, tmp_path: Path
) -> None:
    site.recipes(
        site=shell("for n in 1 2 3; do echo $HEADWAY_REF > $n.txt; done", ["*.txt"], keep=5)
    )
    builds = [await site.build(ref=ref) for ref in ("one", "two")]
    await site.deploy(builds[0]["id"])
    reader = await asyncio.create_subprocess_exec(
        "python3", "-c", READER, str(site.current()), stdout=asyncio.subprocess.PIPE
    )

    for number in range(200):
        await site.ask_deployment(builds[number % 2]["id"])
    await site.jobs.run_all()
    reader.terminate()
    output, _ = await reader.communicate()

    looks, problems = output.decode().split(maxsplit=1)
    assert problems.strip() == "[]"
    assert int(looks) > 200
    assert (await site.live())["sequence"] == 201


READER = """
import os, signal, sys
over, looks, problems = [], 0, []
signal.signal(signal.SIGTERM, lambda *_: over.append(1))
while not over:
    looks += 1
    try:
        open(sys.argv[1] + "/1.txt").read()
        folder = os.path.realpath(sys.argv[1])
        seen = {open(f"{folder}/{n}.txt").read() for n in (1, 2, 3)}
        if len(seen) != 1:
            problems.append(seen)
    except OSError as error:
        problems.append(repr(error))
print(looks, problems[:5])
"""
