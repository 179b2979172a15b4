"""Managed interpreters: builds of CPython that uv downloads, pinned by URL and sha256."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import urllib.error
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from vstore.credentials import has_credentials, without_login
from vstore.digest import parse_json
from vstore.errors import BuildError, ToolError
from vstore.fs.reading import read_regular
from vstore.lock.model import Download, InterpreterPin
from vstore.python_version import PythonRequirement, PythonVersion
from vstore.target import Target
from vstore.uv import Uv, UvError, open_url

_TIMEOUT_SECONDS = 3.0
_LIST_BYTES = 16 << 20  # the list of uv has 2 MiB
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HASHED = re.compile(rf"(?P<sha256>{_SHA256.pattern}) [ *](?P<name>\S+)")
_KEYS = {  # uv's operating system, architecture and C library
    Target.LINUX_X86_64: "linux-x86_64-gnu",
    Target.LINUX_AARCH64: "linux-aarch64-gnu",
    Target.MACOSX_ARM64: "macos-aarch64-none",
    Target.MACOSX_X86_64: "macos-x86_64-none",
    Target.WIN_AMD64: "windows-x86_64-none",
    Target.WIN_ARM64: "windows-aarch64-none",
}


def find_managed(requirement: PythonRequirement, target: Target, uv: Uv) -> InterpreterPin | None:
    """Return a pin of the newest allowed build for `target`; None if there is none, or its site is not reachable.

    A site is queried once per process, for at most 3 seconds.
    """
    if uv.offline or _downloads_disabled(uv.environment):
        return None
    available = _available(requirement.version, uv)
    versions = [version for version, key in available if key == _KEYS[target] and requirement.allows(version)]
    if not versions:
        return None
    version = max(versions)
    chosen = available[version, _KEYS[target]]
    hashes = published_hashes(_mirrored(chosen, uv.environment), uv)
    if hashes is None:
        return None
    downloads = _downloads(version, available, {**hashes, **_listed_hashes(uv)})
    return InterpreterPin(implementation="cpython", version=str(version), source="managed", downloads=downloads)


def find_downloads(version: PythonVersion, uv: Uv) -> dict[str, Download]:
    """Return the managed builds of one version by target; none if their site is not reachable."""
    if uv.offline or _downloads_disabled(uv.environment):
        return {}
    available = _available(str(version), uv)
    hashes = published_hashes(_mirrored(min(available.values()), uv.environment), uv) if available else None
    return {} if hashes is None else _downloads(version, available, {**hashes, **_listed_hashes(uv)})


def _downloads(version: PythonVersion, available: _Builds, hashes: Mapping[str, str]) -> dict[str, Download]:
    found = {}
    for one, key in _KEYS.items():
        url = available.get((version, key))
        if url is not None:
            name = PurePosixPath(unquote(urlsplit(url).path)).name
            found[str(one)] = Download(url=without_login(url), sha256=hashes.get(url) or hashes.get(name))
    return found


def _downloads_disabled(environment: Mapping[str, str]) -> bool:
    """Whether a setting of uv forbids to download interpreters or to use downloaded ones."""
    return (
        environment.get("UV_PYTHON_DOWNLOADS") == "never"
        or environment.get("UV_PYTHON_PREFERENCE") in ("system", "only-system")
        or environment.get("UV_NO_MANAGED_PYTHON", "").lower() in ("1", "true")
    )


_Builds = dict[tuple[PythonVersion, str], str]  # URLs by version and platform, without the mirror of the user
_builds: dict[tuple[str, frozenset[tuple[str, str]]], _Builds] = {}  # uv is run once per process for each version


def _available(version: str, uv: Uv) -> _Builds:
    """Return the builds that uv can download of the versions that `version` allows, as in a PythonRequirement."""
    key = (version, frozenset(uv.environment.items()))
    if key not in _builds:
        _builds[key] = _list_downloads(version, uv)
    return _builds[key]


def _list_downloads(version: str, uv: Uv) -> _Builds:
    listing = ["python", "list", "--only-downloads", "--all-platforms", "--all-versions", "--output-format", "json"]
    command = [*listing, f"cpython{version}"]
    try:
        text = uv.run(
            command,
            timeout_seconds=30,
            doing=f"looking for CPython {version}",
            changes={"UV_PYTHON_INSTALL_MIRROR": "", "UV_HTTP_RETRIES": "0"},
        )
    except UvError:
        return {}
    found = {}
    for entry in json.loads(text):
        prefix = f"cpython-{entry['version']}-"
        if entry["url"] and entry["key"].startswith(prefix):
            found_version = PythonVersion.parse(str(entry["version"]))
            found[found_version, str(entry["key"]).removeprefix(prefix)] = str(entry["url"])
    return found


def _mirrored(url: str, environment: Mapping[str, str]) -> str:
    """Return the URL with the mirror, which replaces everything before the folder of the release."""
    mirror = environment.get("UV_PYTHON_INSTALL_MIRROR")
    _, mark, tail = url.partition("/python-build-standalone/releases/download/")
    return f"{mirror.rstrip('/')}/{tail}" if mirror and mark else url


def _fetch_hashes(folder: str, uv: Uv) -> Mapping[str, str] | None:
    found: dict[str, str] = {}
    reached = threading.Event()

    def fetch() -> None:
        try:
            with open_url(
                f"{folder}/SHA256SUMS", uv.settings, uv.environment, timeout_seconds=_TIMEOUT_SECONDS
            ) as answer:
                text = answer.read(4 << 20).decode("utf-8", "replace")
        except urllib.error.HTTPError:
            reached.set()
            return
        except (OSError, HTTPException, ValueError):
            if folder.startswith("file://") and Path(unquote(urlsplit(folder).path)).is_dir():
                reached.set()
            return
        found.update(parse_hashes(text))
        reached.set()

    thread = threading.Thread(target=fetch, daemon=True)  # a resolver may hang longer than any time limit of ours
    thread.start()
    thread.join(_TIMEOUT_SECONDS)
    return dict(found) if reached.is_set() else None


def parse_hashes(text: str) -> dict[str, str]:
    """Return the sha256 digests by file name, from lines as ``sha256sum`` prints them. Other lines are ignored."""
    lines = map(_HASHED.fullmatch, text.splitlines())
    return {line["name"]: line["sha256"] for line in lines if line is not None}


_published: dict[str, Mapping[str, str] | None] = {}  # by folder: each is queried once per process


def published_hashes(url: str, uv: Uv) -> Mapping[str, str] | None:
    """Return the sha256 digests that the folder of a release publishes, by file name.

    The result is empty if the folder has no list, and None if the site is not reachable.
    """
    folder = url.rpartition("/")[0]
    if folder not in _published:
        _published[folder] = _fetch_hashes(folder, uv)
    return _published[folder]


def _listed_hashes(uv: Uv) -> dict[str, str]:
    """Return the sha256 digests by URL of the list of downloads that the user set for uv. uv reports its faults."""
    location = uv.environment.get("UV_PYTHON_DOWNLOADS_JSON_URL")
    if not location:
        return {}
    try:
        if "://" in location:
            with open_url(location, uv.settings, uv.environment, timeout_seconds=_TIMEOUT_SECONDS) as answer:
                text = answer.read(_LIST_BYTES + 1)
        else:
            text = read_regular(location, limit=_LIST_BYTES)
        return parse_downloads(text)
    except (OSError, HTTPException, ValueError):
        return {}


def parse_downloads(text: bytes) -> dict[str, str]:
    """Return the sha256 digests by URL of a list of downloads of uv (``download-metadata.json`` in its repository).

    Raises ValueError for anything else.
    """
    if len(text) > _LIST_BYTES:
        raise ValueError(f"more than {_LIST_BYTES >> 20} MiB")
    listed = parse_json(text)
    if not isinstance(listed, dict):
        raise ValueError("a list of downloads is an object")
    entries = [(one.get("url"), one.get("sha256")) for one in listed.values() if isinstance(one, dict)]
    return {
        url: sha256
        for url, sha256 in entries
        if isinstance(url, str) and isinstance(sha256, str) and _SHA256.fullmatch(sha256)
    }


def download(pin: InterpreterPin, target: Target, folder: Path, uv: Uv) -> Path:
    """Download the archive of a pinned build with uv into `folder`, and verify its sha256.

    The unpacked tree of uv is not used: it depends on the version of uv and on this machine. Raises BuildError or
    ToolError.
    """
    pinned = pin.downloads.get(str(target))
    if pinned is None:
        raise BuildError(
            f"the lock has no managed CPython {pin.version} for {target}",
            hint="run `vstore lock --upgrade` with the spec",
        )
    folder.mkdir(parents=True)
    archives = Path(uv.environment.get("UV_PYTHON_CACHE_DIR") or folder / "archives")
    changes = {"UV_PYTHON_INSTALL_BIN": "0", "UV_PYTHON_CACHE_DIR": str(archives)}
    if pinned.sha256 is not None:
        listing = folder / "downloads.json"
        url = _mirrored(pinned.url, uv.environment)
        if has_credentials(url):  # a login is not written to disk, and uv uses the mirror itself
            url = pinned.url
        else:
            changes["UV_PYTHON_INSTALL_MIRROR"] = ""
        listing.write_text(
            json.dumps({f"cpython-{pin.version}-{_KEYS[target]}": _entry(pin, target, url, pinned.sha256)})
        )
        changes["UV_PYTHON_DOWNLOADS_JSON_URL"] = str(listing)
    try:
        uv.run(
            ["python", "install", "--no-bin", "--install-dir", folder, f"cpython-{pin.version}-{_KEYS[target]}"],
            doing=f"downloading CPython {pin.version}",
            changes=changes,
        )
    except UvError as error:
        if error.unreachable or uv.offline:
            raise BuildError(
                f"CPython {pin.version} cannot be downloaded: {pinned.url}",
                details=error.details[-3:],
                hint="set UV_PYTHON_INSTALL_MIRROR to a mirror; the lock pins this build, so no other one is used",
            ) from error
        raise
    name = PurePosixPath(unquote(urlsplit(pinned.url).path)).name
    for archive in sorted(archives.iterdir() if archives.is_dir() else ()):
        if archive.name.endswith(name) and (pinned.sha256 is None or _sha256(archive) == pinned.sha256):
            return archive
    raise ToolError(
        f"uv downloaded CPython {pin.version} for {target}, but its download folder contains no archive with the pinned"
        " name and SHA-256",
        hint="check `uv --version`: vstore needs 0.13 or newer",
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _entry(pin: InterpreterPin, target: Target, url: str, sha256: str) -> dict[str, object]:
    """Return an entry of a list of downloads of uv."""
    system, machine, libc = _KEYS[target].split("-")
    version = PythonVersion.parse(pin.version)
    return {
        "name": "cpython",
        "arch": {"family": machine, "variant": None},
        "os": system,
        "libc": libc,
        "major": version.major,
        "minor": version.minor,
        "patch": version.micro,
        "prerelease": version.prerelease,
        "url": url,
        "sha256": sha256,
        "variant": None,
        "build": None,
    }
