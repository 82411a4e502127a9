"""docker-compose.yml and the image, by what they say: no Docker daemon is needed."""

import fnmatch
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).parents[2]
HEADWAY = ("migrate", "api", "worker", "worker-extract", "worker-index", "dbworker")
WORKERS = ("worker", "worker-extract", "worker-index", "dbworker")
GRACE = 8  # seconds; SHUTDOWN_GRACE_SECONDS as the file sets it
MARGIN = 2  # seconds; a worker promises to be gone within grace + 2

compose: dict[str, Any] = yaml.safe_load((TOP / "docker-compose.yml").read_text())
services: dict[str, dict[str, Any]] = compose["services"]


def seconds(text: str) -> int:
    assert re.fullmatch(r"\d+s", text)
    return int(text[:-1])


def test_services_are_the_promised_ones() -> None:
    assert set(services) == {*HEADWAY, "postgres", "redis"}
    assert services["dbworker"]["profiles"] == ["database"]
    assert all("profiles" not in services[name] for name in services if name != "dbworker")


@pytest.mark.parametrize("name", services)
def test_every_service_can_be_scaled_but_the_api(name: str) -> None:
    service = services[name]
    assert "container_name" not in service
    assert "hostname" not in service
    assert ("ports" in service) == (name == "api")
    assert service.get("network_mode") is None


@pytest.mark.parametrize("name", services)
def test_every_service_is_locked_down(name: str) -> None:
    service = services[name]
    assert service["init"] is True
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] not in ("root", "0", "0:0")
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert any(mount.split(":")[0] == "/tmp" for mount in service["tmpfs"])
    assert "privileged" not in service
    assert "cap_add" not in service


@pytest.mark.parametrize("name", [name for name in services if name != "migrate"])
def test_every_long_lived_service_is_watched_and_restarted(name: str) -> None:
    service = services[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert seconds(service["healthcheck"]["timeout"]) <= seconds(service["healthcheck"]["interval"])


@pytest.mark.parametrize("name", HEADWAY)
def test_headway_services_share_what_they_must(name: str) -> None:
    service, first = services[name], services["api"]
    for shared in ("QUEUE_ROUTES", "SECRET_KEY", "DATABASE_URL", "REDIS_URL", "DATA_DIR"):
        assert service["environment"][shared] == first["environment"][shared]
    assert service["environment"]["QUEUE_ROUTES"] == (
        "ingest_extract=ingest_extract,ingest_index=ingest_index"
    )
    assert service["image"] == first["image"]
    mounts = [mount.rsplit(":", 2) for mount in service["volumes"]]
    data, backups = service["environment"]["DATA_DIR"], service["environment"]["BACKUP_ROOTS"]
    assert ["data", data] in mounts
    assert [mount[2] for mount in mounts if mount[1] == backups] == ["ro"]


@pytest.mark.parametrize("name", HEADWAY)
def test_headway_services_have_time_to_stop(name: str) -> None:
    assert services[name]["environment"]["SHUTDOWN_GRACE_SECONDS"] == str(GRACE)
    assert seconds(services[name]["stop_grace_period"]) > GRACE + MARGIN + 5


@pytest.mark.parametrize("name", [*WORKERS, "api"])
def test_nothing_starts_before_the_migrations(name: str) -> None:
    needs = services[name]["depends_on"]
    assert needs["migrate"] == {"condition": "service_completed_successfully"}
    assert needs["redis"] == needs["postgres"] == {"condition": "service_healthy"}


def test_migrate_runs_once() -> None:
    migrate = services["migrate"]
    assert migrate["command"] == ["headway", "db", "upgrade"]
    assert migrate["restart"] == "no"
    assert migrate["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_each_queue_has_its_pool() -> None:
    queues = {
        name: (
            services[name]["environment"].get("QUEUE_NAME", "default"),
            services[name].get("deploy", {}).get("replicas", 1),
        )
        for name in WORKERS[:3]
    }
    assert queues == {
        "worker": ("default", 1),
        "worker-extract": ("ingest_extract", 5),
        "worker-index": ("ingest_index", 3),
    }
    for name in WORKERS[:3]:
        assert services[name]["command"] == ["arq", "app.worker.tasks.WorkerSettings"]
    assert services["dbworker"]["command"] == ["headway", "worker", "--engine", "database"]


def test_redis_keeps_what_it_has() -> None:
    words = " ".join(services["redis"]["command"])
    assert "--appendonly yes" in words
    assert "--maxmemory-policy noeviction" in words
    assert "redis:/data" in services["redis"]["volumes"]


def test_postgres_has_pgvector_and_a_probe() -> None:
    assert re.fullmatch(r"pgvector/pgvector:pg1[78]", services["postgres"]["image"])
    assert services["postgres"]["healthcheck"]["test"][1] == "pg_isready"


def test_servers_are_reached_from_inside_only() -> None:
    assert compose["networks"]["inside"]["internal"] is True
    assert services["postgres"]["networks"] == services["redis"]["networks"] == ["inside"]


def test_secrets_come_from_the_environment_and_are_required() -> None:
    assert services["api"]["environment"]["SECRET_KEY"].startswith("${SECRET_KEY:?")
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith(
        "${POSTGRES_PASSWORD:?"
    )
    assert "headway:${POSTGRES_PASSWORD:?" in services["api"]["environment"]["DATABASE_URL"]


def test_api_probe_asks_readyz_without_curl() -> None:
    probe = services["api"]["healthcheck"]["test"]
    assert probe[:3] == ["CMD", "python", "-Ic"]
    assert "/readyz" in probe[3]
    compile(probe[3], "probe", "exec")


@pytest.mark.parametrize("name", WORKERS)
def test_worker_probe_tells_a_reachable_database_from_none(name: str) -> None:
    command, program, *arguments = services[name]["healthcheck"]["test"]
    assert (command, program) == ("CMD", "python")

    def probe(port: int) -> int:
        environment = {"DATABASE_URL": f"postgresql://u:p@127.0.0.1:{port}/d"}
        return subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, timeout=10
        ).returncode

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert probe(port) == 0
    assert probe(port) == 1


def dockerfile() -> list[str]:
    text = (TOP / "deploy/Dockerfile").read_text()
    return re.sub(r"\\\n\s*", "", text).splitlines()


def test_image_is_built_in_stages_from_the_lock() -> None:
    lines = dockerfile()
    stages = [line for line in lines if line.startswith("FROM ")]
    assert len(stages) == 2
    assert all("python:${PYTHON}-slim" in line for line in stages)
    assert any(re.fullmatch(r"ARG PYTHON=3\.1[1-3]", line) for line in lines)
    assert any("--require-hashes -r requirements/run.txt" in line for line in lines)
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == [services["api"]["user"]]
    assert not any(re.search(r"(?i)secret|passw|token", line) for line in lines)


def test_build_context_holds_what_is_copied_and_no_secret() -> None:
    rules = [
        line
        for line in (TOP / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*"
    kept = {line[1:] for line in rules if line.startswith("!")}
    copied = {
        source
        for line in dockerfile()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert copied == kept
    for secret in (".env", "data", ".git", "docker-compose.yml"):
        assert not any(fnmatch.fnmatch(secret, pattern) for pattern in kept)
