"""Managed interpreters: the CPython builds that uv downloads, pinned by URL and sha256."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import urllib.error
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from vstore.build.interpreter.local import matches, version_key
from vstore.credentials import has_credentials, without_login
from vstore.digest import parse_json
from vstore.errors import BuildError, ToolError
from vstore.fs.reading import read_regular
from vstore.lock.model import Download, InterpreterPin
from vstore.target import Target
from vstore.uv import Uv, UvError, open_url

PATIENCE_SECONDS = 3.0
_LIST_BYTES = 16 << 20  # uv's own has 2 MiB
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


def find_managed(wanted: str, target: Target, uv: Uv) -> InterpreterPin | None:
    """The newest build of `wanted` for `target`, as a pin; None if there is none or its site cannot be reached.

    Waits at most `PATIENCE_SECONDS` for the site, and asks it once per run.
    """
    if uv.offline or _declined(uv.environment):
        return None
    offered = _offered(wanted, uv)
    versions = [version for version, key in offered if key == _KEYS[target] and matches(version, wanted)]
    if not versions:
        return None
    version = max(versions, key=version_key)
    chosen = offered[version, _KEYS[target]]
    hashes = published_hashes(_mirrored(chosen, uv.environment), uv)
    if hashes is None:
        return None
    downloads = _downloads(version, offered, {**hashes, **_listed_hashes(uv)})
    return InterpreterPin(implementation="cpython", version=version, source="managed", downloads=downloads)


def find_downloads(version: str, uv: Uv) -> dict[str, Download]:
    """The managed builds of this very version, by target; none if their site cannot be reached."""
    if uv.offline or _declined(uv.environment):
        return {}
    offered = _offered(version, uv)
    hashes = published_hashes(_mirrored(min(offered.values()), uv.environment), uv) if offered else None
    return {} if hashes is None else _downloads(version, offered, {**hashes, **_listed_hashes(uv)})


def _downloads(version: str, offered: Mapping[tuple[str, str], str], hashes: Mapping[str, str]) -> dict[str, Download]:
    found = {}
    for one, key in _KEYS.items():
        url = offered.get((version, key))
        if url is not None:
            name = PurePosixPath(unquote(urlsplit(url).path)).name
            found[str(one)] = Download(url=without_login(url), sha256=hashes.get(url) or hashes.get(name))
    return found


def _declined(environment: Mapping[str, str]) -> bool:
    """Whether the user told uv not to download interpreters, or not to use such."""
    return (
        environment.get("UV_PYTHON_DOWNLOADS") == "never"
        or environment.get("UV_PYTHON_PREFERENCE") in ("system", "only-system")
        or environment.get("UV_NO_MANAGED_PYTHON", "").lower() in ("1", "true")
    )


_Offered = dict[tuple[str, str], str]
_offers: dict[tuple[str, frozenset[tuple[str, str]]], _Offered] = {}  # uv is asked once per run for each version


def _offered(wanted: str, uv: Uv) -> _Offered:
    """(version, platform key) → URL as pinned, without the user's mirror in it."""
    asked = (wanted, frozenset(uv.environment.items()))
    if asked not in _offers:
        _offers[asked] = _ask_offers(wanted, uv)
    return _offers[asked]


def _ask_offers(wanted: str, uv: Uv) -> _Offered:
    listing = ["python", "list", "--only-downloads", "--all-platforms", "--output-format", "json"]
    command = [*listing, *([] if wanted.count(".") == 2 else ["--all-versions"]), wanted]
    try:
        text = uv.run(
            command,
            timeout_seconds=30,
            doing=f"looking for CPython {wanted}",
            changes={"UV_PYTHON_INSTALL_MIRROR": "", "UV_HTTP_RETRIES": "0"},
        )
    except UvError:
        return {}
    found = {}
    for entry in json.loads(text):
        prefix = f"cpython-{entry['version']}-"
        if entry["url"] and entry["key"].startswith(prefix):
            found[str(entry["version"]), str(entry["key"]).removeprefix(prefix)] = str(entry["url"])
    return found


def _mirrored(url: str, environment: Mapping[str, str]) -> str:
    """Where uv would fetch `url`: the mirror stands for all up to the release's folder."""
    mirror = environment.get("UV_PYTHON_INSTALL_MIRROR")
    _, mark, tail = url.partition("/python-build-standalone/releases/download/")
    return f"{mirror.rstrip('/')}/{tail}" if mirror and mark else url


def _ask_hashes(folder: str, uv: Uv) -> Mapping[str, str] | None:
    found: dict[str, str] = {}
    reached = threading.Event()

    def ask() -> None:
        try:
            with open_url(
                f"{folder}/SHA256SUMS", uv.settings, uv.environment, timeout_seconds=PATIENCE_SECONDS
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

    asking = threading.Thread(target=ask, daemon=True)  # a resolver may hang longer than any time limit of ours
    asking.start()
    asking.join(PATIENCE_SECONDS)
    return dict(found) if reached.is_set() else None


def parse_hashes(text: str) -> dict[str, str]:
    """File name → sha256, as ``sha256sum`` writes them; other lines are passed over."""
    lines = map(_HASHED.fullmatch, text.splitlines())
    return {line["name"]: line["sha256"] for line in lines if line is not None}


_published: dict[str, Mapping[str, str] | None] = {}  # by folder: each is asked once per run


def published_hashes(url: str, uv: Uv) -> Mapping[str, str] | None:
    """File name → sha256 as the folder of a release publishes them; empty without the list, None if unreachable."""
    folder = url.rpartition("/")[0]
    if folder not in _published:
        _published[folder] = _ask_hashes(folder, uv)
    return _published[folder]


def _listed_hashes(uv: Uv) -> dict[str, str]:
    """URL → sha256 from the list of downloads that the user told uv to use, if any; uv says what is wrong with it."""
    location = uv.environment.get("UV_PYTHON_DOWNLOADS_JSON_URL")
    if not location:
        return {}
    try:
        if "://" in location:
            with open_url(location, uv.settings, uv.environment, timeout_seconds=PATIENCE_SECONDS) as answer:
                text = answer.read(_LIST_BYTES + 1)
        else:
            text = read_regular(location, limit=_LIST_BYTES)
        return parse_downloads(text)
    except (OSError, HTTPException, ValueError):
        return {}


def parse_downloads(text: bytes) -> dict[str, str]:
    """URL → sha256 of a list as uv has it (``download-metadata.json`` in its repository). ValueError if it is none."""
    if len(text) > _LIST_BYTES:
        raise ValueError(f"more than {_LIST_BYTES} bytes")
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
    """Have uv download the pinned build's archive into `folder` and verify its sha256. Raises BuildError or ToolError.

    uv unpacks it too, but changes what it unpacks in ways that depend on uv's version and on this machine.
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
        if has_credentials(url):  # uv puts the mirror in by itself: a login is not written down
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
                hint="set UV_PYTHON_INSTALL_MIRROR to a mirror; the lock pins this build, so no other is taken",
            ) from error
        raise
    name = PurePosixPath(unquote(urlsplit(pinned.url).path)).name
    for archive in sorted(archives.iterdir() if archives.is_dir() else ()):
        if archive.name.endswith(name) and (pinned.sha256 is None or _sha256(archive) == pinned.sha256):
            return archive
    raise ToolError(f"uv kept no archive of CPython {pin.version} for {target}", hint="uv 0.13 or newer is needed")


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _entry(pin: InterpreterPin, target: Target, url: str, sha256: str) -> dict[str, Any]:
    """An entry of uv's list of downloads (``download-metadata.json`` in its repository)."""
    system, machine, libc = _KEYS[target].split("-")
    major, minor, patch, stage, number = version_key(pin.version)
    return {
        "name": "cpython",
        "arch": {"family": machine, "variant": None},
        "os": system,
        "libc": libc,
        "major": major,
        "minor": minor,
        "patch": patch,
        "prerelease": "" if stage == 3 else f"{('a', 'b', 'rc')[stage]}{number}",
        "url": url,
        "sha256": sha256,
        "variant": None,
        "build": None,
    }
