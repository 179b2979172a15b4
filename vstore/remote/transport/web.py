"""The transport for web servers: read-only. `vstore.remote.transport.http_client` bounds every answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote, urlsplit

from vstore.cancel import CancelToken
from vstore.credentials import public_url
from vstore.errors import UsageError
from vstore.remote.transport.http_client import HttpClient, HttpRequest
from vstore.remote.transport.login import basic_header, user_login
from vstore.remote.transport.protocol import RequestLimits, Stat


class WebTransport:
    """A folder behind a web server. It repeats nothing: see `vstore.remote.transport.retry`.

    Time limits as in `RequestLimits`. Setting `cancel` ends all requests.
    """

    schemes: ClassVar[tuple[str, ...]] = ("http", "https")

    def __init__(self, url: str, options: Mapping[str, str], limits: RequestLimits, cancel: CancelToken) -> None:
        self._parts = urlsplit(url)
        self.url = public_url(url)
        if set(options) - {"redirects"}:
            raise UsageError(f"a web server has no other option than `redirects`: {self.url}")
        anywhere = options.get("redirects") == "anywhere"
        self._limits = limits
        self._client = HttpClient(url, _WebLogin(url), limits, cancel, name=self.url, anywhere=anywhere)

    def get(self, key: str, *, limit: int) -> bytes | None:
        """Return the content of a file of the cache; None if there is no such file."""
        return self._client.get(self._request(key), limit=limit)

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes] | None:
        """Return the bytes of each range, several requests at a time."""
        return self._client.get_ranges(self._request(key), ranges)

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        """Write a file of the cache to `target`. Return its size in bytes; None if there is no such file."""
        request = self._request(key, seconds=self._limits.download_seconds(limit))
        with self._client.send(request) as answer:
            if answer is None:
                return None
            with target.open("wb") as file:
                return sum(file.write(chunk) for chunk in self._client.content(answer, request, limit))

    def head(self, key: str) -> Stat | None:
        """Return the size and the time of a file; None if there is no such file."""
        return self._client.head(self._request(key, method="HEAD"))

    def _request(self, key: str, *, method: str = "GET", seconds: float | None = None) -> HttpRequest:
        host = self._parts.netloc.rpartition("@")[2]
        query = f"?{self._parts.query}" if self._parts.query else ""
        address = f"{self._parts.scheme}://{host}{self._parts.path.rstrip('/')}/{quote(key)}{query}"
        return HttpRequest(key=key, url=address, method=method, seconds=seconds)


class _WebLogin:
    """The login from the URL or the netrc file, sent with each request."""

    hint = "give a login: in the netrc file, or in the URL (https://user:password@host/…)"

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        login = user_login(self._url)
        return basic_header(*login) if login else {}

    def headers(self, request: HttpRequest) -> Mapping[str, str]:
        """Return the headers with the login. Raises TransportError."""
        return self._headers

    def renew(self, request: HttpRequest, sent: Mapping[str, str], challenges: Sequence[str]) -> bool:
        """Return False: there is no other login."""
        return False
