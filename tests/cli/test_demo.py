import json
import time
from pathlib import Path

from tests.cli.conftest import Terminal


def test_the_demo_completes_everything_and_leaves_nothing(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, {"TMPDIR": str(tmp_path), "DATABASE_URL": "postgresql://no/no"})
    began = time.monotonic()

    done = terminal.run("demo", "--json")

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {job["status"] for job in report["jobs"]} == {"completed"}
    assert report["facts"]["messages"] > 18_000
    assert report["facts"]["pages"] == 3122
    assert all(report["facts"][name] > 0 for name in ("whatsapp_messages", "notes", "events"))
    assert [one["kind"] for one in report["found"]] == [
        "message", "whatsapp_message", "backup_note", "event", "photo", "contact",
    ]  # fmt: skip
    assert list(tmp_path.glob("headway-demo-*")) == []
    assert time.monotonic() - began < 40
