"""How to reach places: those of uv's settings that say so, from the spec and from this user's uv.toml.

Other settings of a user play no part, so that a lock and a layer are the same for everybody; but logins, certificates,
proxies and mirrors belong to who asks, and must reach every request. A login goes to uv by environment variables, so
that it is written nowhere. uv reads netrc files, ``UV_INDEX_…``, ``UV_KEYRING_PROVIDER`` and ``SSL_CERT_FILE`` itself.
"""

from __future__ import annotations

import re
import ssl
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from vstore.credentials import has_credentials, without_userinfo
from vstore.errors import UsageError
from vstore.fs.netrc import netrc_login
from vstore.fs.reading import read_regular
from vstore.toml import TomlError, parse_toml

_MAX_BYTES = 1 << 20
_REACHING = frozenset(
    [
        *("allow-insecure-host", "keyring-provider", "native-tls", "system-certs"),
        *("http-proxy", "https-proxy", "no-proxy", "concurrent-downloads"),
    ]
)
_PROXIES = {"http-proxy": "HTTP_PROXY", "https-proxy": "HTTPS_PROXY"}  # settings, but variables with a login in them
_VARIABLES = {  # mirrors may have a login in them too
    "python-install-mirror": "UV_PYTHON_INSTALL_MIRROR",
    "python-downloads-json-url": "UV_PYTHON_DOWNLOADS_JSON_URL",
}


def access_settings(
    spec: Mapping[str, Any], environment: Mapping[str, str], folder: Path
) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings for each call of uv, and the variables that it needs besides: logins of indexes, mirrors.

    `spec` is the uv table of a spec in `folder`; its settings come before those of the user, and these before the
    machine's. Raises UsageError for a uv.toml that cannot be read.
    """
    indexes = [dict(index) for index in spec.get("index", ())]
    settings: dict[str, Any] = {}
    variables: dict[str, str] = {}
    chosen = bool(environment.get("UV_CONFIG_FILE"))  # it must be there
    for found in [*(_read(file, needed=chosen) for file in reversed(_user_files(environment))), spec]:
        secret = {key for key in _PROXIES if has_credentials(str(found.get(key)))}
        settings |= {key: value for key, value in found.items() if key in _REACHING - secret}
        named = {**_VARIABLES, **{key: _PROXIES[key] for key in secret}}
        variables |= {named[key]: str(value) for key, value in found.items() if key in named}
        for index in found.get("index", ()):
            for own in indexes:
                if _same_index(own, index):
                    own |= {key: value for key, value in index.items() if key == "authenticate"}
                    variables |= _login(own, str(index["url"]))
    for index in indexes:
        index["url"] = _place(without_userinfo(str(index["url"])), folder)
    return {**settings, **({"index": indexes} if indexes else {})}, variables


def _user_files(environment: Mapping[str, str]) -> list[Path]:
    """The configuration files of this user and of the machine, as uv looks for them, the first to count first."""
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


def _read(file: Path, *, needed: bool) -> dict[str, Any]:
    try:
        return parse_toml(read_regular(file, limit=_MAX_BYTES))
    except (OSError, TomlError) as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) and not needed:
            return {}
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"uv's settings cannot be read: {file}: {reason}") from error


def _same_index(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two tables speak of one index: by its URL, or by its name on the same host."""
    urls = [without_userinfo(str(index.get("url"))) for index in (one, other)]
    hosts = [urlsplit(url).netloc for url in urls]
    return urls[0] == urls[1] or (one.get("name") == other.get("name") is not None and hosts[0] == hosts[1])


def _login(index: Mapping[str, Any], url: str) -> dict[str, str]:
    """The variables in which uv looks for the login of a named index."""
    parts = urlsplit(url)
    if parts.password is None or "name" not in index:
        return {}
    name = re.sub(r"[^A-Z0-9]", "_", str(index["name"]).upper())
    return {
        f"UV_INDEX_{name}_USERNAME": unquote(parts.username or ""),
        f"UV_INDEX_{name}_PASSWORD": unquote(parts.password),
    }


def _place(url: str, folder: Path) -> str:
    """A flat index may be a folder beside the spec."""
    return url if "://" in url or Path(url).is_absolute() else str((folder / url).resolve())


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects as browsers follow them: never from https to http, and the login stays with its origin."""

    def redirect_request(self, req: urllib.request.Request, *args: Any) -> urllib.request.Request | None:
        made = super().redirect_request(req, *args)
        if made is not None:
            before, after = urlsplit(req.full_url), urlsplit(made.full_url)
            if before.scheme == "https" != after.scheme:
                raise urllib.error.URLError("redirected from https to http")
            if (before.scheme, before.netloc) != (after.scheme, after.netloc):
                made.remove_header("Authorization")
        return made


def open_url(
    url: str, settings: Mapping[str, Any], environment: Mapping[str, str], *, timeout_seconds: float
) -> HTTPResponse:
    """Ask for a URL as uv would: with these proxies, insecure hosts, and the login of the URL or of the netrc file.

    Raises OSError, and ValueError for a URL or a netrc file that is none.
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
    host: str, port: int | None, settings: Mapping[str, Any], environment: Mapping[str, str]
) -> Iterator[urllib.request.BaseHandler]:
    found = {key.removesuffix("-proxy"): settings.get(key) or environment.get(name) for key, name in _PROXIES.items()}
    proxies = {scheme: proxy for scheme, proxy in found.items() if proxy}
    if proxies and host not in settings.get("no-proxy", ()):
        yield urllib.request.ProxyHandler(proxies)
    if {host, f"{host}:{port}"}.intersection(settings.get("allow-insecure-host", ())):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        yield urllib.request.HTTPSHandler(context=context)
