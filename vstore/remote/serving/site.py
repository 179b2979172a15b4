"""A local store as a cache, over HTTP and read-only: the static layout, made when it is asked for.

Ranges are starlette's. Requests are answered in threads; packing has its own few, so that other requests do not wait
for it, and a limit on those who do. Needs the extra ``serve``.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from vstore.cancel import Cancelled
from vstore.digest import Digest, canonical_json
from vstore.errors import BusyError, VstoreError
from vstore.objects import StorePath
from vstore.remote.records import layout
from vstore.remote.serving.shelf import Offer, Shelf
from vstore.store import ARCHIVE_SUFFIX

T = TypeVar("T")

_PACKED_AT_ONCE = min(os.cpu_count() or 1, 4)
_MOST_WAITING = 256  # requests for what is not packed yet
_LATER_SECONDS = 5  # after which a client is to ask again
_TOTALS_SECONDS = 5.0  # how long the numbers of objects and bytes are kept
_log = logging.getLogger("uvicorn.error")


class Site:
    """The answers to requests, counted by kind and status."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._counts = Counter[tuple[str, int]]()
        self._lock = threading.Lock()
        self._packing: CapacityLimiter | None = None
        self._totals = (-_TOTALS_SECONDS, 0, 0)

    async def front(self, request: Request) -> Response:
        document = canonical_json({"format": layout.FORMAT, "compression": "zst"}) + b"\n"
        return self._counted("front", _record(request, document))

    async def realisation(self, request: Request) -> Response:
        async def answer(recipe: Digest) -> Response:
            return _record(request, await anyio.to_thread.run_sync(self.shelf.realisation, recipe))

        return await self._answered("realisation", _parsed(request.path_params["name"], ".json", Digest.parse), answer)

    async def object(self, request: Request) -> Response:
        async def answer(path: StorePath) -> Response:
            offer = await self._offer(path)
            if offer is None:
                return Response(status_code=404)
            return _record(request, await anyio.to_thread.run_sync(self.shelf.object, path, offer))

        return await self._answered("object", _parsed(request.path_params["name"], ".json", StorePath.parse), answer)

    async def archive(self, request: Request) -> Response:
        async def answer(path: StorePath) -> Response:
            offer = await self._offer(path)
            if offer is None:
                return Response(status_code=404)
            headers = {"etag": offer.etag}
            if _matches(request, offer.etag):
                return Response(status_code=304, headers=headers)
            return FileResponse(offer.file, media_type="application/zstd", headers=headers, stat_result=offer.status)

        found = _parsed(request.path_params["name"], ARCHIVE_SUFFIX, StorePath.parse)
        return await self._answered("archive", found, answer)

    def metrics(self, request: Request) -> Response:
        """Prometheus' text format, version 0.0.4."""
        if time.monotonic() - self._totals[0] > _TOTALS_SECONDS:
            infos = self.shelf.store.objects.all()
            self._totals = time.monotonic(), len(infos), sum(info.size_bytes for info in infos)
        _, objects, size_bytes = self._totals
        lines = ["# TYPE vstore_objects gauge", f"vstore_objects {objects}"]
        lines += ["# TYPE vstore_object_bytes gauge", f"vstore_object_bytes {size_bytes}"]
        lines.append("# TYPE vstore_requests_total counter")
        with self._lock:
            counts = sorted(self._counts.items())
        for (kind, status), count in counts:
            lines.append(f'vstore_requests_total{{kind="{kind}",status="{status}"}} {count}')
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    def health(self, request: Request) -> Response:
        self.shelf.store.is_valid(StorePath.make(Digest(bytes(32)), "none"))  # the index answers
        return PlainTextResponse("ok\n")

    async def _offer(self, path: StorePath) -> Offer | None:
        """Return the archive of an object; None if there is no such object. Raises BusyError where too many wait.

        Whether there is such an object is asked first: names that anyone makes up cost no more than that.
        """
        if not await anyio.to_thread.run_sync(self.shelf.store.is_valid, path):
            return None
        if (found := await anyio.to_thread.run_sync(self.shelf.find, path)) is not None:
            return found
        if self._packing is None:
            self._packing = CapacityLimiter(_PACKED_AT_ONCE)
        if self._packing.statistics().tasks_waiting >= _MOST_WAITING:
            raise BusyError("too many wait for archives")
        return await anyio.to_thread.run_sync(self.shelf.pack, path, limiter=self._packing)

    async def _answered(self, kind: str, asked: T | None, answer: Callable[[T], Awaitable[Response]]) -> Response:
        try:
            response = Response(status_code=404) if asked is None else await answer(asked)
        except (BusyError, Cancelled):
            response = Response(status_code=503, headers={"Retry-After": str(_LATER_SECONDS)})
        except (VstoreError, OSError) as error:  # a damaged object, a full disk
            _log.error("%s cannot be offered: %s", asked, error)
            response = Response(status_code=500)
        return self._counted(kind, response)

    def _counted(self, kind: str, response: Response) -> Response:
        with self._lock:
            self._counts[kind, response.status_code] += 1
        return response


def _record(request: Request, data: bytes | None) -> Response:
    if data is None:
        return Response(status_code=404)
    etag = f'"{sha256(data).hexdigest()[:32]}"'
    if _matches(request, etag):
        return Response(status_code=304, headers={"etag": etag})
    return Response(data, media_type="application/json", headers={"etag": etag})


def _matches(request: Request, etag: str) -> bool:
    """Whether the client has it already, as If-None-Match says (RFC 9110, 13.1.2)."""
    given = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return etag in given or given == ["*"]


def _parsed(name: str, suffix: str, parse: Callable[[str], T]) -> T | None:
    try:
        return parse(name.removesuffix(suffix)) if name.endswith(suffix) else None
    except ValueError:
        return None


def application(shelf: Shelf) -> Starlette:
    """The ASGI application."""
    site = Site(shelf)
    return Starlette(
        routes=[
            Route(f"/{layout.CACHE_FILE}", site.front),
            Route("/realisations/{part}/{name}", site.realisation),
            Route("/objects/{part}/{name}", site.object),
            Route("/archives/{part}/{name}", site.archive),
            Route("/metrics", site.metrics),
            Route("/healthz", site.health),
        ]
    )
