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
    facts = report["facts"]
    assert (facts["pages"], facts["chunks"], facts["written_notes"]) == (362, 362, 150)
    assert all(facts[name] > 0 for name in ("whatsapp_messages", "notes", "events"))
    (embedding,) = [j for j in report["jobs"] if j["job_type"] == "embedding_regeneration"]
    assert (embedding["processed_items"], embedding["total_items"]) == (150, 150)
    assert [one["kind"] for one in report["found"]] == [
        "message", "whatsapp_message", "backup_note", "event", "photo", "contact", "document",
    ]  # fmt: skip
    assert list(tmp_path.glob("headway-demo-*")) == []
    assert time.monotonic() - began < 40
