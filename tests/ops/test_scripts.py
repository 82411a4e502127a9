"""run_worker.sh really run, against servers and tools of straw; run_worker.ps1 read closely."""

import re
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SH = TOP / "run_worker.sh"
PS1 = TOP / "run_worker.ps1"
STUB = """#!/bin/sh
echo "stub {name}"
for argument in "$@"; do echo "argument $argument"; done
env | grep -E '^(REDIS_URL|QUEUE_NAME|ARQ_MAX_JOBS|MAIL_FROM|SPACED|BLOB_URL)='
exit {code}
"""


class Redis(socketserver.ThreadingTCPServer):
    """Answers each command with the next of its replies, and the last one again and again."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, *replies: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.replies = list(replies)
        self.heard: list[bytes] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.server_address[1]}"


class Conversation(socketserver.BaseRequestHandler):
    server: Redis

    def handle(self) -> None:
        while said := self.request.recv(1000):
            self.server.heard.append(said)
            replies = self.server.replies
            self.request.sendall(replies.pop(0) if len(replies) > 1 else replies[0])


@pytest.fixture
def redis(request: pytest.FixtureRequest) -> Iterator[Redis]:
    with Redis(*getattr(request, "param", [b"+PONG\r\n"])) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """The script in a folder with a stub environment: Python is real, arq and headway are not."""
    home = tmp_path / "a house"
    stub_environment(home / ".venv")
    shutil.copy(SH, home)
    return home


def stub_environment(venv: Path, doctor: int = 0) -> None:
    programs = venv / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    if not (programs / "python").exists():
        (programs / "python").symlink_to(sys.executable)
    for name, code in (("arq", 7), ("headway", doctor)):
        (programs / name).write_text(STUB.format(name=name, code=code))
        (programs / name).chmod(0o755)


def start(house: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(house / SH.name), *arguments],
        env={"PATH": "/usr/bin:/bin", "HOME": str(house), **environment},
        cwd="/",
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=20,
    )


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_bash_takes_it_and_it_may_be_started() -> None:
    assert subprocess.run(["bash", "-n", str(SH)]).returncode == 0
    assert SH.stat().st_mode & 0o111


def test_it_becomes_the_worker_with_the_arguments(house: Path, redis: Redis) -> None:
    run = start(house, "--burst", "--custom-log-dict", "two words", REDIS_URL=redis.url)
    assert run.returncode == 7, run.stderr  # the worker's own
    assert run.stdout.splitlines() == [
        "stub arq",
        "argument app.worker.tasks.WorkerSettings",
        "argument --burst",
        "argument --custom-log-dict",
        "argument two words",
        f"REDIS_URL={redis.url}",
    ]
    assert "argument doctor" in run.stderr
    assert redis.heard == [b"*1\r\n$4\r\nPING\r\n"]


def test_the_active_environment_will_do(house: Path, redis: Redis, tmp_path: Path) -> None:
    (house / ".venv").rename(tmp_path / "active")
    run = start(house, REDIS_URL=redis.url, VIRTUAL_ENV=str(tmp_path / "active"))
    assert run.returncode == 7, run.stderr


def test_without_an_environment_it_says_how_to_make_one(house: Path) -> None:
    shutil.rmtree(house / ".venv")
    run = start(house)
    assert run.returncode == 1
    assert "there is no virtual environment" in run.stderr
    assert "make install" in run.stderr


def test_without_arq_it_says_so(house: Path) -> None:
    (house / ".venv/bin/arq").unlink()
    run = start(house)
    assert run.returncode == 1
    assert "arq is not installed" in run.stderr


def test_env_file_is_read_but_does_not_override(house: Path, redis: Redis) -> None:
    (house / ".env").write_text(
        "\ufeff# settings\n\n"
        f"REDIS_URL={redis.url}  # the one on this machine\r\n"
        "QUEUE_NAME=from_file\n"
        "export ARQ_MAX_JOBS = 3   # at once\n"
        "MAIL_FROM='a@example.org' # quoted\n"
        'SPACED="two words"\n'
        "BLOB_URL=s3://bucket/a#b",
        encoding="utf-8",
    )
    run = start(house, QUEUE_NAME="from_environment")
    assert run.returncode == 7, run.stderr
    assert set(run.stdout.splitlines()[2:]) == {
        f"REDIS_URL={redis.url}",
        "QUEUE_NAME=from_environment",
        "ARQ_MAX_JOBS=3",
        "MAIL_FROM=a@example.org",
        "SPACED=two words",
        "BLOB_URL=s3://bucket/a#b",
    }


def test_a_bad_line_is_named_by_number_and_not_shown(house: Path) -> None:
    (house / ".env").write_text("QUEUE_NAME=default\nmy password is hunter2\n")
    run = start(house)
    assert run.returncode == 1
    assert "line 2 of .env is not NAME=value" in run.stderr
    assert "to mend it:" in run.stderr
    assert "hunter2" not in run.stderr + run.stdout


@pytest.mark.parametrize("name", ["REDIS_URL", "IOS_BACKUP_REDIS__URL"])
def test_a_closed_port_is_told_in_words(house: Path, name: str) -> None:
    port = closed_port()
    run = start(house, **{name: f"redis://:s3cret@127.0.0.1:{port}/0"})
    assert run.returncode == 1
    assert f"nothing listens at 127.0.0.1:{port}: Redis is not running there" in run.stderr
    assert "to mend it: start Redis" in run.stderr
    assert "s3cret" not in run.stderr + run.stdout
    assert "stub" not in run.stdout


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1", "redis://127.0.0.1:port", "redis://[", "redis://:a#b@127.0.0.1"]
)
def test_what_is_no_address_is_refused(house: Path, url: str) -> None:
    run = start(house, REDIS_URL=url)
    assert run.returncode == 1
    assert "REDIS_URL is not an address of Redis" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("redis", "words"),
    [
        ([b"-NOAUTH Authentication required.\r\n"], "wants a password"),
        ([b"-LOADING Redis is loading the dataset in memory\r\n"], "still loading"),
        ([b"-ERR DB index is out of range\r\n"], "no database of that number"),
        ([b"-DENIED Redis is running in protected mode\r\n"], "DENIED"),
        ([b"HTTP/1.1 400 Bad Request\r\n"], "is not Redis"),
    ],
    indirect=["redis"],
)
def test_an_unhappy_redis_is_told_in_words(house: Path, redis: Redis, words: str) -> None:
    run = start(house, REDIS_URL=redis.url)
    assert run.returncode == 1
    assert words in run.stderr
    assert "to mend it:" in run.stderr


@pytest.mark.parametrize("redis", [[b"+OK\r\n", b"+PONG\r\n", b"+OK\r\n"]], indirect=True)
def test_user_password_and_database_are_sent(house: Path, redis: Redis) -> None:
    run = start(house, REDIS_URL=redis.url.replace("//", "//me:p%40ss@") + "/3")
    assert run.returncode == 7, run.stderr
    assert redis.heard == [
        b"*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$4\r\np@ss\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n",
    ]


@pytest.mark.parametrize(
    "redis", [[b"-WRONGPASS invalid username-password pair\r\n"]], indirect=True
)
def test_a_wrong_password_is_not_repeated(house: Path, redis: Redis) -> None:
    run = start(house, REDIS_URL=redis.url.replace("//", "//:hunter2@"))
    assert run.returncode == 1
    assert "does not accept the password" in run.stderr
    assert "hunter2" not in run.stderr


def test_rediss_without_tls_at_the_other_end(house: Path, redis: Redis) -> None:
    run = start(house, REDIS_URL=redis.url.replace("redis:", "rediss:"))
    assert run.returncode == 1
    assert "TLS with Redis" in run.stderr
    assert "use redis:// if it has no TLS" in run.stderr


@pytest.mark.parametrize("code", [1, 2])
def test_the_doctors_findings_stop_the_start(house: Path, redis: Redis, code: int) -> None:
    stub_environment(house / ".venv", doctor=code)
    run = start(house, REDIS_URL=redis.url)
    assert run.returncode == code
    assert "headway doctor found something wrong" in run.stderr
    assert "stub arq" not in run.stdout


def test_both_scripts_hold_the_same_redis_check() -> None:
    def check(text: str) -> str:
        start = text.index("import os\n")
        return text[start : text.index("\nmain()\n", start)]

    assert check(SH.read_text()) == check(PS1.read_text())


def powershell() -> str:
    """The script without its embedded Python, its comments and its strings."""
    text = re.sub(r"@'\n.*?\n'@", "''", PS1.read_text(), flags=re.DOTALL)
    text = re.sub(r"'[^'\n]*'", "''", text)
    text = re.sub(r'"[^"\n]*"', '""', text)
    return re.sub(r"#.*", "", text)


def test_powershell_is_plain_ascii() -> None:
    assert PS1.read_bytes().isascii()


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("pipeline chain", r"&&|\|\|"),
        ("null coalescing", r"\?\?"),
        ("ternary", r"\s\?\s[^{]"),
        ("null conditional", r"\?\.|\?\["),
        ("parallel", r"-Parallel\b"),
        ("clean block", r"\bclean\s*\{"),
        ("newer encodings", r"utf8NoBOM|utf8BOM"),
        ("newer variables", r"\$Is(Windows|Linux|MacOS)\b"),
        (
            "newer parameters",
            r"-AsHashtable\b|-SkipCertificateCheck\b|Join-Path [^\s()]+ [^\s()]+ [^\s()]",
        ),
    ],
)
def test_powershell_is_understood_by_5_1(what: str, pattern: str) -> None:
    assert not re.search(pattern, powershell()), what


def test_powershell_is_balanced_and_passes_codes_and_arguments_on() -> None:
    code = powershell()
    for pair in ("()", "{}", "[]"):
        assert code.count(pair[0]) == code.count(pair[1])
    assert "app.worker.tasks.WorkerSettings @args\n    exit $LASTEXITCODE" in code
