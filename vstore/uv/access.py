"""uv's settings for access: logins, certificates, proxies and mirrors, from the spec and from this user's uv.toml.

Other settings of a user are ignored, so that locks and layers are the same for everybody. Logins are passed to uv in
environment variables, so that they are not written to a file. uv itself reads netrc files, ``UV_INDEX_…``,
``UV_KEYRING_PROVIDER`` and ``SSL_CERT_FILE``.
"""

from __future__ import annotations

import re
import ssl
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, cast
from urllib.parse import unquote, urlsplit

from vstore.credentials import has_credentials, without_userinfo
from vstore.errors import UsageError
from vstore.fs.netrc import netrc_login
from vstore.fs.reading import read_regular
from vstore.toml import TomlError, parse_toml, tables

_MAX_BYTES = 1 << 20
_ACCESS = frozenset(
    [
        *("allow-insecure-host", "keyring-provider", "native-tls", "system-certs"),
        *("http-proxy", "https-proxy", "no-proxy", "concurrent-downloads"),
    ]
)
_PROXIES = {"http-proxy": "HTTP_PROXY", "https-proxy": "HTTPS_PROXY"}  # as variables if they have a login
_VARIABLES = {  # mirrors, which may have a login
    "python-install-mirror": "UV_PYTHON_INSTALL_MIRROR",
    "python-downloads-json-url": "UV_PYTHON_DOWNLOADS_JSON_URL",
}


def access_settings(
    spec: Mapping[str, object], environment: Mapping[str, str], folder: Path
) -> tuple[dict[str, object], dict[str, str]]:
    """Return the settings for each run of uv, and environment variables with mirrors and the logins of indexes.

    `spec` is the uv table of a spec in `folder`. Its settings have priority over the user's, and these over the
    machine's. Raises UsageError for a uv.toml that cannot be read.
    """
    indexes = [dict(index) for index in tables(spec, "index")]
    settings: dict[str, object] = {}
    variables: dict[str, str] = {}
    chosen = bool(environment.get("UV_CONFIG_FILE"))  # so it must exist
    for found in [*(_read(file, needed=chosen) for file in reversed(_user_files(environment))), spec]:
        secret = {key for key in _PROXIES if has_credentials(str(found.get(key)))}
        settings |= {key: value for key, value in found.items() if key in _ACCESS - secret}
        named = {**_VARIABLES, **{key: _PROXIES[key] for key in secret}}
        variables |= {named[key]: str(value) for key, value in found.items() if key in named}
        for index in tables(found, "index"):
            for own in indexes:
                if _same_index(own, index):
                    own |= {key: value for key, value in index.items() if key == "authenticate"}
                    variables |= _login(own, str(index["url"]))
    for index in indexes:
        index["url"] = _place(without_userinfo(str(index["url"])), folder)
    return {**settings, **({"index": indexes} if indexes else {})}, variables


def _user_files(environment: Mapping[str, str]) -> list[Path]:
    """Return the configuration files of this user and of the machine, as uv finds them, in order of priority."""
    if environment.get("UV_NO_CONFIG"):
        return []
    if chosen := environment.get("UV_CONFIG_FILE"):
        return [Path(chosen)]
    if sys.platform == "win32":
        folders = [environment.get("APPDATA"), environment.get("PROGRAMDATA")]
        return [Path(folder, "uv", "uv.toml") for folder in folders if folder]
    home = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME") or "~").expanduser() / ".config")
    machine = [folder for folder in environment.get("XDG_CONFIG_DIRS", "").split(":") if folder] or ["/etc/xdg"]
    return [*(Path(folder, "uv", "uv.toml") for folder in (home, *machine)), Path("/etc/uv/uv.toml")]


def _read(file: Path, *, needed: bool) -> Mapping[str, object]:
    try:
        return parse_toml(read_regular(file, limit=_MAX_BYTES))
    except (OSError, TomlError) as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) and not needed:
            return {}
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"uv's settings cannot be read: {file}: {reason}") from error


def _same_index(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Return whether two tables are of one index: by URL, or by name on the same host."""
    urls = [without_userinfo(str(index.get("url"))) for index in (one, other)]
    hosts = [urlsplit(url).netloc for url in urls]
    return urls[0] == urls[1] or (one.get("name") == other.get("name") is not None and hosts[0] == hosts[1])


def _login(index: Mapping[str, object], url: str) -> dict[str, str]:
    """Return the variables from which uv takes the login of a named index."""
    parts = urlsplit(url)
    if parts.password is None or "name" not in index:
        return {}
    name = re.sub(r"[^A-Z0-9]", "_", str(index["name"]).upper())
    return {
        f"UV_INDEX_{name}_USERNAME": unquote(parts.username or ""),
        f"UV_INDEX_{name}_PASSWORD": unquote(parts.password),
    }


def _place(url: str, folder: Path) -> str:
    """Return a URL; it may be a folder relative to the spec."""
    return url if "://" in url or Path(url).is_absolute() else str((folder / url).resolve())


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects as browsers do: never from https to http, and without the login on another origin."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request to follow. Raises URLError for a redirect from https to http."""
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None:
            before, after = urlsplit(req.full_url), urlsplit(made.full_url)
            if before.scheme == "https" != after.scheme:
                raise urllib.error.URLError("redirected from https to http")
            if (before.scheme, before.netloc) != (after.scheme, after.netloc):
                made.remove_header("Authorization")
        return made


def open_url(
    url: str, settings: Mapping[str, object], environment: Mapping[str, str], *, timeout_seconds: float
) -> HTTPResponse:
    """Open a URL as uv would.

    Proxies come from uv's `settings`, else from `environment`; hosts without certificate checks from `settings`; the
    login from the URL, else from the netrc file. Redirects from https to http are refused.

    Raises OSError, and ValueError for a malformed URL or netrc file.
    """
    parts = urlsplit(url)
    request = urllib.request.Request(without_userinfo(url))
    login = netrc_login(parts.hostname or "", environment)
    if parts.password is not None:
        login = unquote(parts.username or ""), unquote(parts.password)
    if login is not None:
        request.add_header("Authorization", f"Basic {b64encode(':'.join(login).encode()).decode()}")
    handlers = [_Redirects(), *_handlers(parts.hostname or "", parts.port, settings, environment)]
    return cast(HTTPResponse, urllib.request.build_opener(*handlers).open(request, timeout=timeout_seconds))


def _handlers(
    host: str, port: int | None, settings: Mapping[str, object], environment: Mapping[str, str]
) -> Iterator[urllib.request.BaseHandler]:
    found = {key.removesuffix("-proxy"): settings.get(key) or environment.get(name) for key, name in _PROXIES.items()}
    proxies = {scheme: str(proxy) for scheme, proxy in found.items() if proxy}
    if proxies and host not in _hosts(settings, "no-proxy"):
        yield urllib.request.ProxyHandler(proxies)
    if {host, f"{host}:{port}"}.intersection(_hosts(settings, "allow-insecure-host")):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        yield urllib.request.HTTPSHandler(context=context)


def _hosts(settings: Mapping[str, object], key: str) -> list[str]:
    value = settings.get(key)
    return [str(one) for one in value] if isinstance(value, list) else []
