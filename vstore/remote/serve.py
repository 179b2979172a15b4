"""A local store as a cache, over HTTP and read-only: the static layout, made when it is asked for.

Records are signed with the store's own keys. An archive is packed when it is first asked for and kept in
``cache/serve``, from where ranges and ETags are starlette's. Needs the extra ``serve``.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vstore.archive import ArchiveInfo, FileReader, pack, read_index
from vstore.digest import Digest, canonical_json
from vstore.fs.filelock import lock_file
from vstore.objects import StorePath
from vstore.remote import layout
from vstore.remote.push import realisation_of, record_of
from vstore.remote.records import encode
from vstore.remote.trust import SecretKey, sign
from vstore.store import Store

T = TypeVar("T")

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response


@dataclass
class Shelf:
    """What is offered of one store."""

    store: Store
    keys: tuple[SecretKey, ...]

    def realisation(self, recipe: Digest) -> bytes | None:
        path = self.store.realisation(recipe)
        info = self.store.index.info(path) if path else None
        return encode(realisation_of(info, recipe, self.keys)) if info else None

    def object(self, path: StorePath) -> bytes | None:
        file = self.archive(path)
        info = self.store.index.info(path)
        if file is None or info is None:
            return None
        _, metadata = self.store.manifest(path)
        return encode(sign(record_of(info, metadata, _described(file)), self.keys))

    def archive(self, path: StorePath) -> Path | None:
        """The object's archive, packed now if it was not; None if there is no such object."""
        if not self.store.is_valid(path):
            return None  # asked first: names that anyone makes up leave no temp root
        self.store.temp_root(path)
        if not self.store.is_valid(path):
            return None
        folder = self.store.layout.root / "cache" / "serve"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{path}.tar.zst"
        with lock_file(self.store.layout.locks / f"serve-{path.short}", transient=True):
            if not _is_own(file):
                manifest, _ = self.store.manifest(path)
                with self.store.staging(f"serve-{path.name}") as staging:
                    pack(self.store.layout.object(path), manifest, staging / "archive", name=str(path))
                    (staging / "archive").rename(file)
        return file


def _is_own(file: Path) -> bool:
    """Whether an archive was packed by this user: what others put there may be a link to any file."""
    try:
        status = file.lstat()
    except FileNotFoundError:
        return False
    own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and own


def _described(file: Path) -> ArchiveInfo:
    with FileReader(file) as reader:
        index = read_index(reader)
    with file.open("rb") as content:
        digest = sha256()
        while data := content.read(1 << 20):
            digest.update(data)
    return ArchiveInfo(
        size_bytes=file.stat().st_size,
        sha256=digest.hexdigest(),
        index_digest=index.digest,
        content_bytes=index.manifest.size_bytes,
    )


class Site:
    """The answers to requests, counted by kind and status."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._counts = Counter[tuple[str, int]]()
        self._lock = threading.Lock()

    def front(self, request: Request) -> Response:
        return self._record("front", request, canonical_json({"format": layout.FORMAT, "compression": "zst"}) + b"\n")

    def realisation(self, request: Request) -> Response:
        recipe = _parsed(request.path_params["name"], ".json", Digest.parse)
        return self._record("realisation", request, self.shelf.realisation(recipe) if recipe else None)

    def object(self, request: Request) -> Response:
        path = _parsed(request.path_params["name"], ".json", StorePath.parse)
        return self._record("object", request, self.shelf.object(path) if path else None)

    def archive(self, request: Request) -> Response:
        from starlette.responses import FileResponse, Response

        path = _parsed(request.path_params["name"], ".tar.zst", StorePath.parse)
        file = self.shelf.archive(path) if path else None
        if file is None:
            return self._counted("archive", Response(status_code=404))
        return self._counted("archive", FileResponse(file, media_type="application/zstd"))

    def metrics(self, request: Request) -> Response:
        """Prometheus' text format, version 0.0.4."""
        from starlette.responses import PlainTextResponse

        infos = self.shelf.store.index.objects()
        lines = ["# TYPE vstore_objects gauge", f"vstore_objects {len(infos)}"]
        lines += ["# TYPE vstore_object_bytes gauge", f"vstore_object_bytes {sum(info.size_bytes for info in infos)}"]
        lines.append("# TYPE vstore_requests_total counter")
        with self._lock:
            counts = sorted(self._counts.items())
        for (kind, status), count in counts:
            lines.append(f'vstore_requests_total{{kind="{kind}",status="{status}"}} {count}')
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    def health(self, request: Request) -> Response:
        from starlette.responses import PlainTextResponse

        self.shelf.store.is_valid(StorePath.make(Digest(bytes(32)), "none"))  # the index answers
        return PlainTextResponse("ok\n")

    def _record(self, kind: str, request: Request, data: bytes | None) -> Response:
        from starlette.responses import Response

        if data is None:
            return self._counted(kind, Response(status_code=404))
        etag = f'"{sha256(data).hexdigest()[:32]}"'
        if request.headers.get("if-none-match") == etag:
            return self._counted(kind, Response(status_code=304, headers={"ETag": etag}))
        return self._counted(kind, Response(data, media_type="application/json", headers={"ETag": etag}))

    def _counted(self, kind: str, response: Response) -> Response:
        with self._lock:
            self._counts[kind, response.status_code] += 1
        return response


def application(store: Store, keys: tuple[SecretKey, ...]) -> Starlette:
    """The ASGI application; starlette runs the answers in threads."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    site = Site(Shelf(store, keys))
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


def _parsed(name: str, suffix: str, parse: Callable[[str], T]) -> T | None:
    try:
        return parse(name.removesuffix(suffix)) if name.endswith(suffix) else None
    except ValueError:
        return None
