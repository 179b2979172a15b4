"""The transport for a repository of a registry, by the OCI distribution specification 1.1: ``oci``.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md

Its keys are ``manifests/<tag>``, ``manifests/sha256:…`` and ``blobs/sha256:…``. Whole answers to keys with a digest are
compared with it. ``referrers/sha256:…`` lists the artifacts of a manifest; it is None in registries without such lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, urljoin, urlsplit

from vstore.cancel import CancelToken
from vstore.credentials import public_url
from vstore.digest import parse_json
from vstore.errors import UsageError
from vstore.oci import MAX_DOCUMENT_BYTES, Reference, media_types
from vstore.remote.transport.http_client import HttpClient, HttpRequest, HttpStatusError
from vstore.remote.transport.protocol import (
    MAX_LISTED,
    AccessDeniedError,
    RequestLimits,
    Stat,
    TransportError,
    too_large,
    too_many,
)
from vstore.remote.transport.registry.login import RegistryLogin
from vstore.remote.transport.registry.options import RegistryOptions

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_ACCEPT = {"Accept": ", ".join((*media_types.MANIFESTS, *media_types.INDEXES))}
_BYTES = {"Content-Type": "application/octet-stream"}
_KEY = re.compile(r"manifests/[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|(?:manifests|blobs|referrers)/sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_NEXT = re.compile(r'<([^<>]{1,4096})>\s*;\s*rel="?next"?')  # RFC 8288
_CODE = re.compile(r"[A-Z][A-Z_]{1,63}")
_TAGS_PER_PAGE = 1000
_FREE_PAGES, _TAGS_OF_A_PAGE = 100, 20  # beyond so many pages, they must have so many tags on average
_PAGE_BYTES = 32 << 20  # docker-registry 2.8 gives all tags in one page


class RegistryRefusalError(TransportError):
    """A registry refuses a request. `codes` are those of the distribution specification, such as MANIFEST_INVALID."""

    def __init__(self, message: str, codes: tuple[str, ...], *, transient: bool, hint: str | None) -> None:
        super().__init__(message, transient=transient, hint=hint)
        self.codes = codes


class RegistryTransport:
    """A repository of a registry. It repeats nothing: see `vstore.remote.transport.retry`.

    Time limits as in `RequestLimits`, for uploads as for downloads. Setting `cancel` ends all requests.
    """

    schemes: ClassVar[tuple[str, ...]] = ("oci",)

    def __init__(self, url: str, options: Mapping[str, str], limits: RequestLimits, cancel: CancelToken) -> None:
        self.url = public_url(url)
        parts = urlsplit(url)
        if parts.query or parts.fragment:
            raise UsageError(f"the URL of a repository has no parameters: {self.url}")
        self.reference = Reference.parse(f"{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}")
        self._options = RegistryOptions.read(options, self.reference, self.url)
        base = f"{'http' if self._options.plain_http else 'https'}://{self.reference.api_host}/v2/"
        login = RegistryLogin(url, self.reference, self._options, limits, cancel)
        self._client = HttpClient(base, login, limits, cancel, name=self.url, anywhere=True)
        self.address = f"{base}{self.reference.repository}"
        self._limits = limits

    def get(self, key: str, *, limit: int) -> bytes | None:
        """Return a manifest or a blob; None if there is none. Raises TransportError for the bytes of another digest."""
        is_document = not key.startswith("blobs/")
        request = self._request(key, seconds=None if is_document else self._limits.download_seconds(limit))
        with self._reworded(request):
            data = self._client.get(request, limit=min(limit, MAX_DOCUMENT_BYTES) if is_document else limit)
        if data is not None:
            self._check_digest(key, sha256(data).hexdigest())
        return data

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes] | None:
        """Return the bytes of each range of a blob, several requests at a time."""
        request = self._request(key)
        with self._reworded(request):
            return self._client.get_ranges(request, ranges)

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        """Write a blob to `target`, and compare it with its digest. Return its size in bytes; None if there is none."""
        request = self._request(key, seconds=self._limits.download_seconds(limit))
        hashed, size = sha256(), 0
        with self._reworded(request), self._client.send(request) as answer:
            if answer is None:
                return None
            with target.open("wb") as file:
                for chunk in self._client.content(answer, request, limit):
                    hashed.update(chunk)
                    size += file.write(chunk)
        self._check_digest(key, hashed.hexdigest())
        return size

    def head(self, key: str) -> Stat | None:
        """Return the size of a manifest or a blob; its time is only what the registry states."""
        request = self._request(key, "HEAD")
        with self._reworded(request):
            return self._client.head(request)

    def put(self, key: str, data: bytes | Path) -> None:
        """Write a manifest, or a blob that the repository does not have.

        Blobs are taken from the repositories of the option `mount_from` if one of them has it.
        """
        kind, _, name = key.partition("/")
        if kind == "blobs":
            if self.head(key) is None:
                self._put_blob(key, name, data)
            return
        document = data.read_bytes() if isinstance(data, Path) else data
        if len(document) > MAX_DOCUMENT_BYTES:
            raise too_large(self.url, key, MAX_DOCUMENT_BYTES)
        headers = {"Content-Type": _media_type(document)}
        with self._written(self._request(key, "PUT", headers=headers, body=document)):
            pass

    def delete(self, keys: Iterable[str]) -> None:
        """Delete manifests by their digests, with all tags that point to them. A missing one is no error."""
        for key in keys:
            if ":" not in key:
                raise TransportError(f"cannot delete {self.url}/{key}: a registry deletes by digest")
            request = self._request(key, "DELETE", actions="delete")
            with self._reworded(request), self._client.send(request):
                pass

    def mount(self, key: str, repository: str) -> bool:
        """Take a blob from another repository of the registry. Return False if that is not possible."""
        upload = self._begin_upload(key, key.partition("/")[2], repository)
        if upload and self._client.is_home(upload):
            request = HttpRequest(key=key, url=upload, method="DELETE", scope=self._scope("pull,push"))
            with _ignored_refusals(), self._client.send(request):
                pass
        return upload is None

    def tags(self) -> Iterator[str]:
        """Yield the tags of the repository, in no particular order. Raises TransportError for too many."""
        at: str | None = f"{self.address}/tags/list?n={_TAGS_PER_PAGE}"
        pages, count = 0, 0
        while at:
            request = HttpRequest(
                key="tags/list", url=at, seconds=self._limits.range_seconds, scope=self._scope("pull")
            )
            with self._reworded(request), self._client.send(request) as answer:
                if answer is None:
                    return
                found = self._tags_of(b"".join(self._client.content(answer, request, _PAGE_BYTES)))
                at = self._next_page(at, answer.headers.get("Link", ""))
            pages, count = pages + 1, count + len(found)
            if count > MAX_LISTED or pages > _FREE_PAGES + count // _TAGS_OF_A_PAGE:
                raise too_many(self.url, "tags/list")
            yield from found

    def _tags_of(self, page: bytes) -> list[str]:
        try:
            found = parse_json(page)["tags"]
        except (ValueError, KeyError, TypeError):
            found = ""
        if not isinstance(found, list | None):
            raise TransportError(f"{self.url}: the answer is not a list of tags")
        return [tag for tag in found or () if isinstance(tag, str) and _TAG.fullmatch(tag)]

    def _next_page(self, at: str, link: str) -> str | None:
        found = _NEXT.search(link)
        if found is None:
            return None
        after: str = urljoin(at, found[1])
        if not self._client.is_home(after) or after == at:
            raise TransportError(f"{self.url}: the list of tags does not continue")
        return after

    def _put_blob(self, key: str, digest: str, data: bytes | Path) -> None:
        for repository in self._options.mount_from:
            if self.mount(key, repository):
                return
        upload = self._begin_upload(key, digest) or ""
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        request = HttpRequest(
            key=key,
            url=f"{upload}{'&' if '?' in upload else '?'}digest={quote(digest, safe='')}",
            method="PUT",
            headers=_BYTES,
            body=data,
            seconds=self._limits.download_seconds(size),
            scope=self._scope("pull,push"),
        )
        with self._written(request):
            pass

    def _begin_upload(self, key: str, digest: str, source: str | None = None) -> str | None:
        """Return the address to upload a blob to; None if the registry has taken it from the repository `source`.

        An empty text means that the registry refuses to look there.
        """
        query = f"?mount={quote(digest, safe='')}&from={quote(source, safe='')}" if source else ""
        request = HttpRequest(
            key=key,
            url=f"{self.address}/blobs/uploads/{query}",
            method="POST",
            body=b"",
            scope=self._scope("pull,push") + (f" repository:{source}:pull" if source else ""),
        )
        try:
            with self._written(request) as answer:
                if source and answer.status == 201:
                    return None
                return self._upload_address(request, answer)
        except (AccessDeniedError, RegistryRefusalError):
            if source:
                return ""
            raise

    def _upload_address(self, request: HttpRequest, answer: BaseHTTPResponse) -> str:
        to = str(answer.headers.get("Location", ""))
        if answer.status != 202 or not to:
            raise TransportError(f"{self.url}: the answer has no address to upload {request.key} to")
        at = urljoin(request.url, to)
        if not self._client.is_home(at) and (urlsplit(at).scheme != "https" or not self._options.uploads_anywhere):
            raise TransportError(
                f"{self.url} redirects an upload to another server: {public_url(at)}",
                hint='to follow it set `options = { redirects = "anywhere" }` of the cache in config.toml',
            )
        return at

    def _request(
        self,
        key: str,
        method: str = "GET",
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        seconds: float | None = None,
        actions: str = "pull",
    ) -> HttpRequest:
        """Return a request for a key. Raises TransportError for what is no key of a repository."""
        if not _KEY.fullmatch(key):
            raise TransportError(f"not a key of a repository: {key}")
        accept = _ACCEPT if key.startswith("manifests/") else {}
        return HttpRequest(
            key=key,
            url=f"{self.address}/{key}",
            method=method,
            headers={**accept, **(headers or {})},
            body=body,
            seconds=seconds,
            scope=self._scope("pull,push" if method == "PUT" else actions),
        )

    def _scope(self, actions: str) -> str:
        return f"repository:{self.reference.repository}:{actions}"

    @contextmanager
    def _written(self, request: HttpRequest) -> Iterator[BaseHTTPResponse]:
        """Yield the answer to a request that writes. Raises TransportError if the repository does not exist."""
        with self._reworded(request), self._client.send(request) as answer:
            if answer is None:
                raise TransportError(f"cannot write {self.url}/{request.key}: there is no such repository")
            yield answer

    @contextmanager
    def _reworded(self, request: HttpRequest) -> Iterator[None]:
        """Raise RegistryRefusalError, with the codes of the registry, for errors that the registry states."""
        try:
            yield
        except HttpStatusError as error:
            codes = _codes(error.body)
            text = ", ".join((f"HTTP status {error.status}", *codes))
            message = f"{self.url} refuses to {_VERBS.get(request.method, 'give')} {request.key}: {text}"
            hint = _hint(request, error.status, codes)
            raise RegistryRefusalError(message, codes, transient=error.transient, hint=hint) from error

    def _check_digest(self, key: str, found: str) -> None:
        digest = "" if key.startswith("referrers/") else key.partition("sha256:")[2]
        if digest and digest != found:
            raise TransportError(f"{self.url}/{key}: the content has another digest")


_VERBS = {"PUT": "take", "POST": "take", "DELETE": "delete"}


@contextmanager
def _ignored_refusals() -> Iterator[None]:
    try:
        yield
    except TransportError:
        return


def _hint(request: HttpRequest, status: int, codes: tuple[str, ...]) -> str | None:
    if "MANIFEST_BLOB_UNKNOWN" in codes:
        return "the registry has collected one of its blobs: push again"
    if request.method == "DELETE" and status in (400, 405):
        return "allow deletion in the settings of the registry: docker-registry has `storage.delete.enabled`"
    if status == 413:
        return "the registry, or a proxy before it, limits the size of a blob"
    if request.method == "PUT" and request.key.startswith("manifests/") and status in (400, 406, 415, 422):
        return "the registry must accept OCI images with layers in zstd; some older ones do not"
    return None


def _codes(body: bytes) -> tuple[str, ...]:
    """Return the codes of an error's body: distribution specification, "Error Codes"."""
    try:
        found = [error["code"] for error in parse_json(body)["errors"]]
    except (ValueError, KeyError, TypeError):
        return ()
    return tuple(dict.fromkeys(code for code in found if isinstance(code, str) and _CODE.fullmatch(code)))[:5]


def _media_type(document: bytes) -> str:
    """Return the media type that a manifest states."""
    try:
        found = parse_json(document)["mediaType"]
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, str):
        raise TransportError("not a manifest: it states no media type")
    return found
