"""Who may do what, and how bad requests are answered."""

from uuid import uuid4

from app.releases.models import ReleaseStatus
from tests.releases.site import Site, shell


async def test_admins_act_and_every_token_reads(site: Site) -> None:
    site.recipes(site=shell("touch index.html"))
    build = await site.build()
    deployment = await site.deploy(build["id"])

    acts = (
        ("/builds", {"recipe": "site"}),
        ("/deployments", {"build_id": build["id"], "environment": "prod"}),
    )
    for path, body in acts:
        assert (await site.reader.post(path, json=body)).status_code == 403
    assert (await site.reader.get("/audit")).status_code == 403
    for path in (
        "/builds",
        f"/builds/{build['id']}",
        f"/builds/{build['id']}/log",
        "/deployments",
        f"/deployments/{deployment['id']}",
        "/environments",
    ):
        assert (await site.reader.get(path)).status_code == 200, path
    assert (await site.reader.get(f"/jobs/{build['job_id']}")).status_code == 404
    for path in ("/builds", "/deployments", "/environments"):
        assert (await site.get(path))["total"] == 1


async def test_a_request_that_makes_no_sense_is_422_and_leaves_nothing(site: Site) -> None:
    missing = await site.admin.post("/builds", json={"recipe": "site"})
    assert (missing.status_code, missing.json()["code"]) == (422, "unknown_recipe")

    site.recipes(site=shell("touch index.html"))
    for body, field in (
        ({"recipe": "other"}, "recipe"),
        ({"recipe": "site", "ref": "a..b"}, "ref"),
        ({"recipe": "site", "ref": "; rm"}, "ref"),
        ({"recipe": "site", "ref": "x" * 1000}, "ref"),
        ({"recipe": "site", "command": ["id"]}, "command"),
        ({}, "recipe"),
    ):
        answer = await site.admin.post("/builds", json=body)
        assert answer.status_code == 422, body
        assert answer.headers["content-type"] == "application/problem+json"
        assert field in answer.json()["errors"][0]["field"]

    (site.data / "recipes.toml").write_text("[recipes.site\n")
    broken = await site.admin.post("/builds", json={"recipe": "site"})
    assert broken.status_code == 422
    assert "line 1" in broken.json()["detail"]
    assert (await site.get("/builds"))["total"] == 0
    assert (await site.get("/audit"))["total"] == 0


async def test_a_recipe_that_breaks_after_the_request_fails_the_build(site: Site) -> None:
    site.recipes(site=shell("touch index.html"))
    asked = await site.ask_build()
    site.recipes(other=shell("true"))

    await site.jobs.run_all()

    build = await site.get(f"/builds/{asked['build_id']}")
    assert (build["status"], build["error_code"]) == ("failed", "unknown_recipe")


async def test_only_a_build_that_has_succeeded_can_be_deployed(site: Site) -> None:
    site.recipes(site=shell("exit 1"))
    failed = await site.build()
    waiting = await site.ask_build()

    for build_id, status in (
        (failed["id"], 409),
        (waiting["build_id"], 409),
        (str(uuid4()), 404),
        ("x", 422),
    ):
        body = {"build_id": build_id, "environment": "prod"}
        assert (await site.admin.post("/deployments", json=body)).status_code == status
    for environment in ("", "..", "a/b", ".hidden", "x" * 64, "a b", "-a"):
        body = {"build_id": failed["id"], "environment": environment}
        assert (await site.admin.post("/deployments", json=body)).status_code == 422
    assert (await site.get("/deployments"))["total"] == 0
    for path in ("/builds", "/deployments"):
        assert (await site.admin.get(f"{path}/{uuid4()}")).status_code == 404
    assert (await site.admin.get(f"/builds/{uuid4()}/log")).status_code == 404


async def test_a_queued_build_that_is_cancelled_never_runs(site: Site) -> None:
    site.recipes(site=shell("touch index.html"))
    asked = await site.ask_build()

    assert (await site.admin.post(f"/jobs/{asked['job_id']}/cancel")).status_code == 202
    await site.jobs.run_all()

    build = await site.get(f"/builds/{asked['build_id']}")
    assert (build["status"], build["error_code"]) == (ReleaseStatus.FAILED, "cancelled")
    audit = await site.audit(asked["build_id"])
    assert [(line["action"], line["actor"]) for line in audit] == [
        ("requested", "root"),
        ("cancelled", "root"),
    ]


async def test_the_same_key_starts_one_build(site: Site) -> None:
    site.recipes(site=shell("touch index.html"))
    headers = {"Idempotency-Key": "once"}

    answers = [
        await site.admin.post("/builds", json={"recipe": "site"}, headers=headers) for _ in range(2)
    ]

    assert answers[0].json() == answers[1].json()
    assert (await site.get("/builds"))["total"] == 1


async def test_the_audit_trail_is_read_in_parts(site: Site) -> None:
    site.recipes(site=shell("touch index.html"))
    build = await site.build()
    deployment = await site.deploy(build["id"])

    builds = await site.get("/audit?entity_type=build")
    part = await site.get("/audit?limit=2&offset=1")

    assert {line["entity_id"] for line in builds["items"]} == {build["id"]}
    assert (len(part["items"]), part["total"]) == (2, 6)
    assert [line["seq"] for line in part["items"]] == [2, 3]
    assert len(await site.audit(deployment["id"])) == 3
    assert (await site.admin.get("/audit?entity_type=user")).status_code == 422
