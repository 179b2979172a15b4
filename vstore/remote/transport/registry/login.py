"""Logins to registries: basic authentication, and tokens from the server that the registry names.

https://distribution.github.io/distribution/spec/auth/token/ and …/oauth/, as docker and podman do it.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from typing import NoReturn
from urllib.parse import urlencode, urlsplit

from vstore.cancel import CancelToken
from vstore.credentials import public_url
from vstore.digest import parse_json
from vstore.oci import Reference
from vstore.remote.transport.http_client import HttpClient, HttpRequest
from vstore.remote.transport.login import basic_header, user_login
from vstore.remote.transport.protocol import AccessDeniedError, RequestLimits, TransportError
from vstore.remote.transport.registry.credential_files import RegistryCredential, stored_credential
from vstore.remote.transport.registry.options import RegistryOptions
from vstore.values import frozen

_HINT = "log in: `podman login HOST` or `docker login HOST`, the netrc file, or `options` of the cache in config.toml"
_CHALLENGE = re.compile(r"(?:^|,)\s*(bearer|basic)\b(.*?)(?=,\s*(?:bearer|basic)\b|$)", re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"([^"\\]*)"|([^\s,"]+))')
_TOKEN = re.compile(r"[!-~]{1,16384}")
_ANSWER_BYTES = 256 << 10
_USED = 0.8  # of a token's time
_DEFAULT_SECONDS = 60.0


@frozen
class _TokenServer:
    """The server that gives the tokens of a registry."""

    realm: str
    service: str


class RegistryLogin:
    """The login to a repository: none until the registry asks for one. Threads share its tokens."""

    hint = _HINT

    def __init__(
        self, url: str, reference: Reference, options: RegistryOptions, limits: RequestLimits, cancel: CancelToken
    ) -> None:
        self.hint = _HINT.replace("HOST", reference.host)
        self._url = url
        self._reference = reference
        self._options = options
        self._limits = limits
        self._cancel = cancel
        self._lock = threading.RLock()
        self._credential: RegistryCredential | None = None
        self._is_looked_up = False
        self._is_basic = False
        self._server: _TokenServer | None = None
        self._scopes: dict[str, str] = {}  # those that the registry states, by those of requests
        self._tokens: dict[str, tuple[str, float]] = {}  # by scope, with the time when a new one is needed

    def headers(self, request: HttpRequest) -> Mapping[str, str]:
        """Return the headers with the login. Raises TransportError if no token is to be had."""
        if self._server is None and not self._is_basic:
            return {}
        with self._lock:
            if self._server is None:
                found = self._look_up()
                return basic_header(found.user, found.password) if found else {}
            scope = self._scopes.get(request.scope, request.scope)
            token, until = self._tokens.get(scope, ("", 0.0))
            if time.monotonic() >= until:
                token, until = self._tokens[scope] = self._new_token(self._server, scope)
            return {"Authorization": f"Bearer {token}"}

    def renew(self, request: HttpRequest, sent: Mapping[str, str], challenges: Sequence[str]) -> bool:
        """Take the challenge of a registry. Return False if there is no other login. Raises TransportError."""
        found = _read(challenges)
        with self._lock:
            if (bearer := found.get("bearer")) is not None:
                scope = self._scopes[request.scope] = bearer.get("scope") or request.scope
                token, _ = self._tokens.get(scope, ("", 0.0))
                if token and sent == {"Authorization": f"Bearer {token}"}:
                    del self._tokens[scope]
                self._server = self._checked_server(bearer)
                return True
            if "basic" in found and not self._is_basic and self._look_up() is not None:
                self._is_basic = True
            return self._is_basic and self.headers(request) != sent

    def _look_up(self) -> RegistryCredential | None:
        """Return the user's login for the repository."""
        if not self._is_looked_up:
            self._credential = self._found()
            self._is_looked_up = True
        return self._credential

    def _found(self) -> RegistryCredential | None:
        login = self._options.login
        if login is None and urlsplit(self._url).username is not None:
            login = user_login(self._url)
        if login is None and (stored := stored_credential(self._reference, os.environ)) is not None:
            return stored
        login = login or user_login(self._url)
        return RegistryCredential(user=login[0], password=login[1]) if login else None

    def _checked_server(self, challenge: Mapping[str, str]) -> _TokenServer:
        realm = challenge.get("realm", "")
        allowed = ("https", "http") if self._options.plain_http else ("https",)
        try:
            is_server = urlsplit(realm).scheme in allowed and bool(urlsplit(realm).hostname)
        except ValueError:
            is_server = False
        if not is_server:
            raise TransportError(f"{public_url(self._url)} names no token server with https")
        return _TokenServer(realm=realm, service=challenge.get("service", ""))

    def _new_token(self, server: _TokenServer, scope: str) -> tuple[str, float]:
        """Return a token, and the time of the monotonic clock when a new one is needed."""
        login, asked = self._look_up(), time.monotonic()
        client = HttpClient(
            server.realm, _NoLogin(self.hint), self._limits, self._cancel, name=public_url(server.realm), anywhere=False
        )
        try:
            answer = client.get(_token_request(server, scope, login), limit=_ANSWER_BYTES)
        except AccessDeniedError:
            self._refuse("its token server refuses the login" if login else "its token server requires a login")
        try:
            fields = parse_json(answer or b"")
            token = fields.get("token") or fields.get("access_token")
            seconds = float(fields.get("expires_in", _DEFAULT_SECONDS))
        except (ValueError, TypeError, AttributeError, OverflowError):
            token, seconds = None, 0.0
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise TransportError(f"{public_url(self._url)}: the token server {client.name} gives no token")
        return token, asked + seconds * _USED

    def _refuse(self, reason: str) -> NoReturn:
        raise AccessDeniedError(public_url(self._url), reason, hint=self.hint) from None


class _NoLogin:
    """The login of requests that carry it themselves."""

    def __init__(self, hint: str) -> None:
        self.hint = hint

    def headers(self, request: HttpRequest) -> Mapping[str, str]:
        return {}

    def renew(self, request: HttpRequest, sent: Mapping[str, str], challenges: Sequence[str]) -> bool:
        return False


def _token_request(server: _TokenServer, scope: str, login: RegistryCredential | None) -> HttpRequest:
    """Return the request for a token: with an identity token as OAuth 2 says (RFC 6749), else as docker does it."""
    if login is not None and login.identity_token:
        form = {
            "grant_type": "refresh_token",
            "service": server.service,
            "client_id": "vstore",
            "scope": scope,
            "refresh_token": login.identity_token,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return HttpRequest(key="token", url=server.realm, method="POST", headers=headers, body=urlencode(form).encode())
    query = urlencode([("service", server.service), *(("scope", one) for one in scope.split())])
    return HttpRequest(
        key="token",
        url=f"{server.realm}{'&' if '?' in server.realm else '?'}{query}",
        headers=basic_header(login.user, login.password) if login else {},
    )


def _read(challenges: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the parameters of each scheme that the registry offers (RFC 9110, 11.6.1)."""
    return {
        found[1].lower(): {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(found[2])}
        for text in challenges
        for found in _CHALLENGE.finditer(text)
    }
