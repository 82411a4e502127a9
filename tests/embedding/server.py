"""A server that speaks OpenAI's protocol for embeddings, on a real socket, with faults to order."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class EmbeddingServer:
    """Answers with the angle of each text's length; `faults` are given first, one a request."""

    def __init__(self) -> None:
        self.dimension = 8
        self.faults: list[Any] = []  # a Response, seconds to sleep, or a body
        self.requests: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.url = ""

    async def answer(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        self.authorizations.append(request.headers.get("authorization"))
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Response):
            return fault
        if isinstance(fault, float):
            await asyncio.sleep(fault)
        if isinstance(fault, dict):
            return JSONResponse(fault)
        rows = [
            {"object": "embedding", "index": place, "embedding": self.vector(text)}
            for place, text in enumerate(body["input"])
        ]
        return JSONResponse({"object": "list", "model": body["model"], "data": rows[::-1]})

    def vector(self, text: str) -> list[float]:
        angle = len(text) / 100
        return [3 * math.cos(angle), 3 * math.sin(angle)] + [0.0] * (self.dimension - 2)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["EmbeddingServer"]:
        app = Starlette(routes=[Route("/v1/embeddings", self.answer, methods=["POST"])])
        config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        try:
            yield self
        finally:
            server.should_exit = True
            await task
