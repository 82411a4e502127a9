"""/docs and /openapi.json, with nothing from another host.

The packaged Swagger UI is one that knows OpenAPI 3.0 only, so it is shown the same description
in the older words; programs get 3.1 from /openapi.json.
"""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from swagger_ui_bundle import swagger_ui_path

from app.api.accepted import answer

router = APIRouter(include_in_schema=False)

_FILES = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Headway API</title>
<link rel="icon" type="image/png" href="docs/swagger-ui/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """window.ui = SwaggerUIBundle({
  url: "docs/openapi.3.0.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
"""


@router.get("/docs")
async def docs() -> Response:
    """The page."""
    return HTMLResponse(_PAGE, headers=_HEADERS)


@router.get("/docs/start.js")
async def start() -> Response:
    """The few lines that open it; not inline, so that the page needs no inline scripts."""
    return Response(_START, media_type="text/javascript")


@router.get("/docs/openapi.3.0.json")
async def older(request: Request) -> Response:
    """The description as OpenAPI 3.0."""
    document = as_3_0(request.app.openapi())
    return answer(document | {"openapi": "3.0.3"})


@router.get("/docs/swagger-ui/{name}")
async def asset(name: str) -> Response:
    """A file of the packaged Swagger UI."""
    if name not in _FILES:
        raise HTTPException(404)
    return FileResponse(Path(str(swagger_ui_path)) / name)


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The description as OpenAPI 3.1."""
    return answer(request.app.openapi())


def as_3_0(node: Any) -> Any:
    """A schema, or a document, in the words of OpenAPI 3.0."""
    if isinstance(node, list):
        return [as_3_0(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: as_3_0(value) for key, value in node.items()}
    for several in ("anyOf", "oneOf"):
        if isinstance(found.get(several), list) and {"type": "null"} in found[several]:
            left = [each for each in found.pop(several) if each != {"type": "null"}]
            found |= {"nullable": True} | (left[0] if len(left) == 1 else {several: left})
    kinds = found.get("type")
    if isinstance(kinds, list):
        left = [each for each in kinds if each != "null"]
        found |= {"type": left[0], "nullable": "null" in kinds}
    if "const" in found and not isinstance(found["const"], dict):
        found["enum"] = [found.pop("const")]
    for bound in ("Minimum", "Maximum"):
        limit = found.get(f"exclusive{bound}")
        if isinstance(limit, int | float) and not isinstance(limit, bool):
            found |= {f"exclusive{bound}": True, bound.lower(): limit}
    if isinstance(found.get("examples"), list):
        examples = found.pop("examples")
        found |= {"example": examples[0]} if examples else {}
    return found
