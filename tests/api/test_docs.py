"""The description of the API, and the page that shows it."""

import re
from typing import Any

from app.api.openapi import operations
from tests.api.conftest import Api, OpenApi


async def test_the_page_needs_no_other_host(api: Api) -> None:
    stranger = api.client()
    page = await stranger.get("/docs")
    addresses = re.findall(r'(?:href|src)="([^"]+)"', page.text)

    assert page.status_code == 200
    assert len(addresses) == 4
    for address in addresses:
        answer = await stranger.get(f"/{address}")
        assert answer.status_code == 200, address
        assert not address.startswith(("http", "//"))
    assert "//" not in re.sub(r"<!.*?>", "", page.text)
    start = (await stranger.get("/docs/start.js")).text
    assert "//" not in start
    described = re.search(r'url: "([^"]+)"', start)
    assert described is not None
    assert (await stranger.get(f"/{described[1]}")).json()["openapi"] == "3.0.3"
    assert (await stranger.get("/docs/swagger-ui/index.html")).status_code == 404


async def test_docs_can_be_turned_off(open_api: OpenApi) -> None:
    async with open_api(docs="off") as api:
        ann = await api.user("ann")
        paths = ("/docs", "/openapi.json", "/docs/start.js", "/redoc")
        assert {(await ann.get(path)).status_code for path in paths} == {404}


async def test_every_operation_has_its_answers_and_an_example(api: Api) -> None:
    document = (await api.client().get("/openapi.json")).json()
    found = {(method, path) for path, method, _ in operations(document)}

    assert {("get", "/jobs/{job_id}"), ("post", "/jobs/{job_id}/cancel")} <= found
    for path, method, operation in operations(document):
        answers = operation["responses"]
        if method == "post":
            assert {"202", "401", "409", "422", "503"} <= set(answers), path
            assert "Idempotency-Key" in [each["name"] for each in operation["parameters"]]
        good = next(answers[status] for status in ("200", "202") if status in answers)
        for content in good["content"].values():
            assert "example" in content or "$ref" in content["schema"], (method, path)
        for status, answer in answers.items():
            if status[0] in "45" and path != "/readyz":
                assert "application/problem+json" in answer["content"], (path, status)
    references = set(re.findall(r'"#/components/schemas/(\w+)"', str(document).replace("'", '"')))
    assert references <= set(document["components"]["schemas"])


async def test_the_older_words_have_no_newer_ones(api: Api) -> None:
    document = (await api.client().get("/docs/openapi.3.0.json")).json()

    for node in nodes(document["paths"]) + nodes(document["components"]):
        assert node.get("type") != "null"
        assert not isinstance(node.get("type"), list)
        assert not isinstance(node.get("exclusiveMinimum"), float | int) or isinstance(
            node["exclusiveMinimum"], bool
        )


def nodes(tree: Any) -> list[dict[str, Any]]:
    if isinstance(tree, list):
        return [node for each in tree for node in nodes(each)]
    if isinstance(tree, dict):
        return [tree] + [node for each in tree.values() for node in nodes(each)]
    return []
