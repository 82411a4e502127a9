"""The guides and the files beside them name only what exists: metrics, commands, settings, links."""

import ast
import re
from pathlib import Path

import pytest
import yaml

TOP = Path(__file__).parents[2]
GUIDES = [
    TOP / "docs/guides" / f"{name}.md" for name in ("install", "troubleshooting", "production")
]
FILES = [
    *GUIDES,
    TOP / "docker-compose.yml",
    TOP / "run_worker.sh",
    TOP / "run_worker.ps1",
    *(path for path in sorted((TOP / "deploy").rglob("*")) if path.is_file()),
]
METRICS = {
    "headway_jobs",
    "headway_queue_depth",
    "headway_queue_oldest_seconds",
    "headway_job_duration_seconds",
    "headway_job_pickup_seconds",
    "headway_jobs_recovered_total",
    "headway_lease_lost_total",
    "headway_workers",
}
COMMANDS = re.compile(
    r"headway (demo|up|worker|jobs (list|show|watch|cancel|retry)|token (create|list|revoke)"
    r"|db upgrade|doctor"
    r"|maintenance (send-reminders|cleanup-reservations|rescue|prune))\b"
)
DOCTOR = ("database", "Redis", "migrations", "model", "blob store", "disk")
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def settings() -> set[str]:
    tree = ast.parse((TOP / "app/settings.py").read_text())
    (model,) = (
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings"
    )
    return {
        node.target.id.upper()
        for node in model.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


@each_file
def test_metrics_are_real(path: Path) -> None:
    for name in re.findall(r"headway_[a-z_]+[a-z]", path.read_text()):
        assert re.sub(r"_(bucket|sum|count)$", "", name) in METRICS, name


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_commands_are_real(path: Path) -> None:
    code = re.findall(r"```(?:sh|powershell)\n(.*?)```|`([^`\n]+)`", path.read_text(), re.DOTALL)
    for block in ("".join(parts) for parts in code):
        for found in re.finditer(r"(?m)(?:^|/|\\|exec (?:api|worker) )headway ([a-z]+)", block):
            assert COMMANDS.match(f"headway {block[found.start(1) :]}"), found[0]


@each_file
def test_settings_are_real(path: Path) -> None:
    theirs = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "PYTHONUNBUFFERED", "PATH"} | {
        "PYTHONDONTWRITEBYTECODE",
        "FORWARDED_ALLOW_IPS",
    }
    assigned = set(
        re.findall(r"(?<![\w$])([A-Z][A-Z0-9]*_[A-Z_0-9]+)(?=[=:] ?\S)", path.read_text())
    )
    own = {
        "HEADWAY_VERSION",
        "HOST_BACKUP_DIR",
        "API_BIND",
        "API_PORT",
        "VIRTUAL_ENV",
        "REDIS__URL",
    }
    own |= {"EXTRACT_MAX_JOBS", "INDEX_MAX_JOBS", "BASH_REMATCH", "BASH_SOURCE", "CERT_NONE"}
    own |= {"PIP_NO_CACHE_DIR", "PIP_DISABLE_PIP_VERSION_CHECK", "SSL_CERT_FILE"}
    assert assigned <= settings() | theirs | own, assigned - settings() - theirs - own


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]+)(?:#([^)]+))?\)", path.read_text()):
        there = (path.parent / target).resolve()
        assert there.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}
            assert anchor in slugs, anchor


def test_every_alert_is_explained() -> None:
    rules = yaml.safe_load((TOP / "deploy/prometheus/headway-alerts.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    explained = set(re.findall(r"^\| (Headway\w+) \|", GUIDES[2].read_text(), re.MULTILINE))
    assert explained == alerts


def test_each_kind_of_trouble_names_a_line_of_the_doctor() -> None:
    sections = re.split(r"^## ", GUIDES[1].read_text(), flags=re.MULTILINE)[1:]
    assert [section.splitlines()[0] for section in sections] == [
        "A worker won't start",
        "Jobs stay `queued`",
        "Failing silently",
        "Slow",
        "Memory",
    ]
    for section in sections:
        assert re.search(rf"(\*\*|\| )({'|'.join(DOCTOR)})(\*\*| \|)", section), section[:20]


@each_file
def test_nothing_names_a_build_machine_or_a_registry(path: Path) -> None:
    assert not re.search(r"/(work|root)/|pypi\.|docker\.io|ghcr\.io|quay\.io", path.read_text())
