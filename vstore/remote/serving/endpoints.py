"""The HTTP endpoints of a served store: the keys of a cache, read-only, with contents made on request.

Starlette answers ranges. Requests are answered in threads. Archives and SBOMs are made in a few threads of their own,
so that other requests do not wait for them. The number of requests that wait for them is limited. Needs the extra
``serve``.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import TypeVar, TypeVarTuple

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from vstore.cancel import Cancelled
from vstore.digest import Digest
from vstore.errors import BusyError, VstoreError
from vstore.objects import StorePath
from vstore.remote.file_cache import layout
from vstore.remote.packing.packed_archives import KeptArchive
from vstore.remote.records.encoding import encode_cache_file
from vstore.remote.serving.served_store import ServedStore
from vstore.sbom_format import SbomFormat
from vstore.store import ARCHIVE_SUFFIX

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

_MAX_PACKING = min(os.cpu_count() or 1, 4)
_MAX_WAITING = 256  # requests for archives and SBOMs that are not made yet
_RETRY_AFTER_SECONDS = 5
_TOTALS_SECONDS = 5.0  # how long the numbers of objects and bytes are cached
_log = logging.getLogger("uvicorn.error")


class Endpoints:
    """The endpoints. Answers are counted by kind and status."""

    def __init__(self, served: ServedStore) -> None:
        self._served = served
        self._counts = Counter[tuple[str, int]]()
        self._lock = threading.Lock()
        self._packing: CapacityLimiter | None = None
        self._totals = (-_TOTALS_SECONDS, 0, 0)

    async def cache_file(self, request: Request) -> Response:
        """Answer with ``vstore-cache.json``."""
        return self._counted("cache", _record(request, encode_cache_file()))

    async def realisation(self, request: Request) -> Response:
        """Answer with the record of a recipe's object."""

        async def answer(recipe: Digest) -> Response:
            return _record(request, await anyio.to_thread.run_sync(self._served.realisation, recipe))

        return await self._answer("realisation", _parsed(request.path_params["name"], ".json", Digest.parse), answer)

    async def object(self, request: Request) -> Response:
        """Answer with the record of an object, which is packed first."""

        async def answer(path: StorePath) -> Response:
            archive = await self._archive(path)
            if archive is None:
                return Response(status_code=404)
            return _record(request, await anyio.to_thread.run_sync(self._served.object, path, archive))

        return await self._answer("object", _parsed(request.path_params["name"], ".json", StorePath.parse), answer)

    async def archive(self, request: Request) -> Response:
        """Answer with the archive of an object, which is packed first."""

        async def answer(path: StorePath) -> Response:
            archive = await self._archive(path)
            if archive is None:
                return Response(status_code=404)
            headers = {"etag": archive.etag}
            if _matches(request, archive.etag):
                return Response(status_code=304, headers=headers)
            return FileResponse(
                archive.file, media_type="application/zstd", headers=headers, stat_result=archive.status
            )

        found = _parsed(request.path_params["name"], ARCHIVE_SUFFIX, StorePath.parse)
        return await self._answer("archive", found, answer)

    async def sbom(self, request: Request) -> Response:
        """Answer with the SBOM of an object or with its record; the SBOM is made first."""

        async def answer(named: tuple[StorePath, SbomFormat, bool]) -> Response:
            path, form, is_record = named
            sbom = await self._made(self._served.sbom, path, form) if await self._is_valid(path) else None
            if sbom is None:
                return Response(status_code=404)
            return _record(request, self._served.sbom_record(sbom) if is_record else sbom.data)

        return await self._answer("sbom", _parsed_sbom(request.path_params["name"]), answer)

    def metrics(self, request: Request) -> Response:
        """Answer with metrics in Prometheus' text format, version 0.0.4."""
        if time.monotonic() - self._totals[0] > _TOTALS_SECONDS:
            infos = self._served.store.objects.all()
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
        """Answer ``ok`` if the index can be read."""
        self._served.store.is_valid(StorePath.make(Digest(bytes(32)), "none"))
        return PlainTextResponse("ok\n")

    async def _archive(self, path: StorePath) -> KeptArchive | None:
        """Return the archive of an object; None if there is no such object. Raises BusyError if too many wait."""
        if not await self._is_valid(path):
            return None
        if (found := await anyio.to_thread.run_sync(self._served.find, path)) is not None:
            return found
        return await self._made(self._served.pack, path)

    async def _is_valid(self, path: StorePath) -> bool:
        """Return whether there is such an object. Call this first, so that an invented name costs one query."""
        return await anyio.to_thread.run_sync(self._served.store.is_valid, path)

    async def _made(self, make: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """Call `make` in one of the few threads for that, and return its result. Raises BusyError if too many wait."""
        if self._packing is None:
            self._packing = CapacityLimiter(_MAX_PACKING)
        if self._packing.statistics().tasks_waiting >= _MAX_WAITING:
            raise BusyError("too many requests wait for archives and SBOMs")
        return await anyio.to_thread.run_sync(make, *arguments, limiter=self._packing)

    async def _answer(self, kind: str, subject: T | None, answer: Callable[[T], Awaitable[Response]]) -> Response:
        try:
            response = Response(status_code=404) if subject is None else await answer(subject)
        except (BusyError, Cancelled):
            response = Response(status_code=503, headers={"Retry-After": str(_RETRY_AFTER_SECONDS)})
        except (VstoreError, OSError) as error:  # a damaged object, a full disk
            _log.error("%s cannot be served: %s", subject, error)
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
    """Return whether If-None-Match names this entity tag (RFC 9110, 13.1.2)."""
    tags = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return etag in tags or tags == ["*"]


def _parsed(name: str, suffix: str, parse: Callable[[str], T]) -> T | None:
    try:
        return parse(name.removesuffix(suffix)) if name.endswith(suffix) else None
    except ValueError:
        return None


def _parsed_sbom(name: str) -> tuple[StorePath, SbomFormat, bool] | None:
    """Return the object and the format in the name of an SBOM or its record, and whether it is the record."""
    for form in SbomFormat:
        for is_record, suffix in ((False, form.suffix), (True, layout.sbom_record_suffix(form))):
            if (path := _parsed(name, suffix, StorePath.parse)) is not None:
                return path, form, is_record
    return None


def application(served: ServedStore) -> Starlette:
    """Return the ASGI application."""
    endpoints = Endpoints(served)
    return Starlette(
        routes=[
            Route(f"/{layout.CACHE_FILE}", endpoints.cache_file),
            Route("/realisations/{part}/{name}", endpoints.realisation),
            Route("/objects/{part}/{name}", endpoints.object),
            Route("/archives/{part}/{name}", endpoints.archive),
            Route("/sboms/{part}/{name}", endpoints.sbom),
            Route("/metrics", endpoints.metrics),
            Route("/healthz", endpoints.health),
        ]
    )
