"""What the plain `arq` command gets to see, and that nothing is pickled on the way."""

import ast
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from arq.worker import Worker

from app.catalogue import registry
from tests.architecture.test_catalogue import modules

TOP = Path(__file__).parents[2]
ARQ_KNOWS = set(inspect.signature(Worker).parameters)
PICKLES = {
    *("pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"),
    "multiprocessing",  # its queues and pools pickle
}
LOOK = """
import json
from app.worker.tasks import WorkerSettings
own = {name: value for name, value in vars(WorkerSettings).items() if not name.startswith("__")}
print(json.dumps({
    "names": sorted(own),
    "bases": [base.__name__ for base in WorkerSettings.__mro__[1:]],
    "functions": [function.name for function in own["functions"]],
    "keep_result": sorted({f.keep_result_s for f in own["functions"]} | {own["keep_result"]}),
    "queue": own["queue_name"],
    "packed": own["job_serializer"]({"f": "x", "a": ["1"]}).hex(),
    "same": own["job_deserializer"](own["job_serializer"]({"f": "x"})),
    "pool": [
        own["redis_pool"].job_serializer is own["job_serializer"],
        own["redis_pool"].job_deserializer is own["job_deserializer"],
    ],
}))
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """`WorkerSettings` as a process of its own imports it: no Redis, no database, no .env."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    folder = tmp_path_factory.mktemp("worker")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOOK],
        env=kept | {"PYTHONPATH": str(TOP), "DATA_DIR": str(folder), "QUEUE_NAME": "ingest_index"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not list(folder.iterdir()), "importing the settings must not make anything"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_its_own_attributes_are_those_that_arq_reads(settings: dict[str, Any]) -> None:
    assert set(settings["names"]) <= ARQ_KNOWS
    assert settings["bases"] == ["object"]  # arq ignores what is inherited
    assert {"functions", "queue_name", "redis_pool", "on_startup"} <= set(settings["names"])


def test_the_functions_are_those_of_the_registry(settings: dict[str, Any]) -> None:
    assert settings["functions"] == [job.function for job in registry().values()]
    assert settings["keep_result"] == [0]  # results live in the rows
    assert settings["queue"] == "arq:queue:ingest_index"


def test_the_wire_is_messagepack(settings: dict[str, Any]) -> None:
    packed = bytes.fromhex(settings["packed"])
    assert msgspec.msgpack.decode(packed) == {"f": "x", "a": ["1"]}
    assert settings["same"] == {"f": "x"}
    assert settings["pool"] == [True, True]  # the pool's own serializers count when ringing


def imported(path: Path) -> set[str]:
    """Top-level names of everything that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
            names |= {alias.name for alias in node.names if alias.name == "ProcessPoolExecutor"}
    return names


def test_nothing_is_pickled() -> None:
    for path in modules():
        assert not imported(path) & (PICKLES | {"ProcessPoolExecutor"}), path
