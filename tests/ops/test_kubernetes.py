"""The manifests and the alert rules, by what they say."""

from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
GRACE = 8 + 2  # seconds; SHUTDOWN_GRACE_SECONDS and what a worker needs beyond it

kustomization: dict[str, Any] = yaml.safe_load((DEPLOY / "k8s/kustomization.yaml").read_text())
objects: dict[tuple[str, str], dict[str, Any]] = {
    (thing["kind"], thing["metadata"]["name"]): thing
    for name in kustomization["resources"]
    for thing in yaml.safe_load_all((DEPLOY / "k8s" / name).read_text())
}
pods = {
    name: thing["spec"]["template"]["spec"]
    for (kind, name), thing in objects.items()
    if kind in ("Deployment", "Job")
}
QUEUES = {
    "headway-worker": "default",
    "headway-worker-extract": "ingest_extract",
    "headway-worker-index": "ingest_index",
}


def test_every_manifest_is_listed() -> None:
    files = {path.name for path in (DEPLOY / "k8s").glob("*.yaml")}
    assert files == {*kustomization["resources"], "kustomization.yaml"}
    assert set(pods) == {*QUEUES, "headway-api", "headway-migrate"}


@pytest.mark.parametrize("name", pods)
def test_every_pod_is_locked_down_and_shares_the_settings(name: str) -> None:
    pod = pods[name]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert pod["terminationGracePeriodSeconds"] > GRACE + 5
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert container["envFrom"] == [
        {"configMapRef": {"name": "headway"}},
        {"secretRef": {"name": "headway"}},
    ]
    mounts = {
        mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]
    }
    shared = objects["ConfigMap", "headway"]["data"]
    assert mounts == {shared["DATA_DIR"]: False, shared["BACKUP_ROOTS"]: True, "/tmp": False}


def test_the_api_is_asked_the_right_questions() -> None:
    (container,) = pods["headway-api"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize("name", QUEUES)
def test_each_worker_is_scaled_by_its_own_queue(name: str) -> None:
    (container,) = pods[name]["containers"]
    assert container["command"] == ["arq", "app.worker.tasks.WorkerSettings"]
    assert {"name": "QUEUE_NAME", "value": QUEUES[name]} in container["env"]
    assert "replicas" not in objects["Deployment", name]["spec"]
    scaled = objects["ScaledObject", name]["spec"]
    assert scaled["scaleTargetRef"] == {"name": name}
    assert scaled["minReplicaCount"] >= 1
    (trigger,) = scaled["triggers"]
    assert trigger["type"] == "prometheus"
    assert trigger["metadata"]["query"] == f'max(headway_queue_depth{{queue="{QUEUES[name]}"}})'


def test_routes_are_those_of_the_queues() -> None:
    routes = objects["ConfigMap", "headway"]["data"]["QUEUE_ROUTES"].split(",")
    assert {route.split("=")[1] for route in routes} | {"default"} == set(QUEUES.values())


def test_every_alert_says_what_and_how_to_mend_it() -> None:
    (group,) = yaml.safe_load((DEPLOY / "prometheus/headway-alerts.yml").read_text())["groups"]
    for rule in group["rules"]:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "mend"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
