"""Rendering: the templates, what they may call, and the headers that every page carries."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from app.dashboard import shown

STATIC = Path(__file__).with_name("static")
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with less, a form's Origin would be `null`
    "X-Content-Type-Options": "nosniff",
}


def page(name: str, status: int = 200, **values: Any) -> Response:
    """A page made from the template `name`; whatever stands in `values` is escaped."""
    text = _environment().get_template(name).render(values)
    headers = HEADERS | {"Cache-Control": "no-store"}
    return Response(text, status, headers, "text/html; charset=utf-8")


@cache
def assets() -> Mapping[str, str]:
    """The static files by name, with their addresses, which change when they do."""
    names = sorted(path.name for path in STATIC.iterdir() if path.suffix in MEDIA_TYPES)
    return {
        name: f"/dashboard/static/{name}?{hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"
        for name in names
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("app.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["assets"] = assets()
    for function in (shown.state, shown.items, shown.pace, shown.duration, shown.ago, shown.took):
        environment.filters[function.__name__] = function
    environment.filters |= {
        "clock": shown.clock,
        "document": shown.document,
        "facts": shown.facts,
        "pieces": shown.pieces,
    }
    return environment
