"""Looking for problems of this machine and of a store, with advice.

Example::

    from vstore.api import doctor, stores

    for finding in doctor.diagnose(stores.default_root()).findings:
        print(finding)
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vstore.api.gc import CollectionPlan, GcOptions, GcResult, InodeCache, limits_of, plan_gc
from vstore.api.maintenance import verify
from vstore.api.stores import StoreLayout, open_store, owner_of
from vstore.config import read_config
from vstore.credentials import has_credentials
from vstore.errors import CacheError, UsageError, VstoreError
from vstore.extras import require_extra
from vstore.fs.paths import absolute
from vstore.reporter import Reporter

__all__ = ["Diagnosis", "Finding", "diagnose"]

_SWEPT = {"cache", ".cache", "tmp", "scratch"}
_BIG_LOG_BYTES = 64 << 20
_LITTLE_BYTES = 1 << 30
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs", "ceph", "lustre"}
_SECRET = re.compile(r"secret|password|token|account_key|sas_key", re.IGNORECASE)  # in names of options
_WITHOUT_LINKS = {"vfat", "exfat", "msdos"}


class Finding(NamedTuple):
    """A problem: a fixed name for its kind, ``error`` or ``warning``, and a sentence with advice.

    It is an error if commands fail or objects are damaged.
    """

    id: str
    level: str
    text: str

    def __str__(self) -> str:
        return self.text


class Diagnosis(NamedTuple):
    """Findings, and how objects are protected against this user.

    The protection is ``read-only mount``, ``read-only modes`` or ``writable by root``; None if there is no store.
    `collection` is the plan of a collection with the limits in config.toml; None if it cannot be made.
    """

    findings: tuple[Finding, ...]
    protection: str | None
    collection: GcResult | None = None


def diagnose(root: Path, *, inodes: InodeCache | None = None, reporter: Reporter | None = None) -> Diagnosis:
    """Look for problems of this machine and of the store at `root`, which need not exist.

    All objects are read once, and their inodes added to the cache `inodes`.
    """
    findings = [*_about_machine(), *_about_place(root)]
    collection = None
    if root.exists():
        found, collection = _about_store(root, inodes or InodeCache(), reporter)
        findings += [*_about_root(StoreLayout(root)), *found]
    return Diagnosis(tuple(findings), _protection(StoreLayout(root).store), collection)


def _protection(store: Path) -> str | None:
    if not store.is_dir():
        return None
    if hasattr(os, "statvfs") and os.statvfs(store).f_flag & getattr(os, "ST_RDONLY", 0):
        return "read-only mount"
    return "writable by root" if hasattr(os, "geteuid") and os.geteuid() == 0 else "read-only modes"


def _about_machine() -> Iterator[Finding]:
    try:
        from uv import find_uv_bin

        find_uv_bin()
    except (ImportError, FileNotFoundError):
        yield Finding(
            "no-uv",
            "error",
            "uv is not installed beside vstore, so nothing can be locked or built; install the package `uv`",
        )


def _about_place(root: Path) -> Iterator[Finding]:
    if words := _SWEPT & {part.lower() for part in root.parts}:
        yield Finding(
            "swept-folder",
            "warning",
            f"the root is in a folder {min(words)!r}, which other programs may empty; choose another with --root",
        )
    kind = _file_system(root)
    if kind in _REMOTE:
        yield Finding(
            "network-file-system",
            "warning",
            f"the root is on a network file system ({kind}): SQLite and file locks may fail there; use a local disk",
        )
    if kind in _WITHOUT_LINKS:
        yield Finding(
            "no-links", "error", f"the root is on {kind}, which has no hard or symbolic links; use another file system"
        )


def _file_system(place: Path) -> str | None:
    """Return the type of the file system that holds `place`, as in proc_mounts(5); None without that file."""
    try:
        lines = Path("/proc/mounts").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    place, best, kind = Path(os.path.realpath(place)), -1, None
    for line in lines:
        _, point, found, *_ = line.split(" ")
        mount = Path(point.encode("utf-8", "surrogateescape").decode("unicode_escape"))
        if place.is_relative_to(mount) and len(mount.parts) >= best:  # a later mount covers an earlier one
            best, kind = len(mount.parts), found
    return kind


def _about_root(layout: StoreLayout) -> Iterator[Finding]:
    root = layout.root
    if not os.access(root, os.W_OK):
        yield Finding(
            "not-writable", "warning", f"{root} is not writable by this user; only list, info, run and verify work"
        )
    if hasattr(os, "geteuid") and root.stat().st_uid != os.geteuid():
        yield Finding(
            "other-owner",
            "warning",
            f"{root} belongs to {owner_of(root)}; use your own, or share it as docs/internals/store.md says",
        )
    if layout.uv_cache.exists() and layout.store.exists() and not layout.on_one_mount(layout.uv_cache):
        yield Finding(
            "cache-elsewhere",
            "warning",
            "cache/uv is on another file system or mount than store: files are copied, not linked; "
            "put both on one file system",
        )
    if layout.tmp.exists() and layout.store.exists() and not layout.on_one_mount(layout.tmp):
        yield Finding(
            "tmp-elsewhere",
            "error",
            "tmp is on another mount than store: nothing can be added; mount the whole root at one place",
        )
    yield from _about_logins(layout.config_file)
    yield from _about_registries(layout.config_file)
    yield from _about_advisories(layout.config_file)
    free = shutil.disk_usage(root).free
    if free < _LITTLE_BYTES:
        yield Finding(
            "little-space",
            "warning",
            f"only {free >> 20} MiB are free; `vstore gc --dry-run` lists the deletable objects",
        )
    log = layout.index_file.with_name(layout.index_file.name + "-wal")
    if log.exists() and log.stat().st_size > _BIG_LOG_BYTES:
        yield Finding(
            "big-log",
            "warning",
            f"the write-ahead log of the index has {log.stat().st_size >> 20} MiB: {log.name}; `vstore gc` empties it",
        )


def _about_logins(config: Path) -> Iterator[Finding]:
    if os.name == "nt" or not config.is_file() or not config.stat().st_mode & 0o077:
        return
    with suppress(VstoreError):  # `open_store` reports it
        for cache in read_config(config).caches:
            if has_credentials(cache.url) or any(_SECRET.search(name) for name in cache.options):
                yield Finding(
                    "readable-login",
                    "warning",
                    f"config.toml holds the login of cache {cache.name}, and other users can read the file: "
                    f"`chmod 600 {config}`",
                )


def _about_registries(config: Path) -> Iterator[Finding]:
    with suppress(UsageError):  # `open_store` or a command with this cache reports it
        for cache in read_config(config).caches if config.is_file() else ():
            if cache.url.startswith("oci://") and "password" not in cache.options and not has_credentials(cache.url):
                from vstore.oci import Reference
                from vstore.remote.transport.registry import check_credential_files

                try:
                    check_credential_files(Reference.parse(cache.url.removeprefix("oci://")), os.environ)
                except CacheError as error:
                    yield Finding("registry-login", "warning", f"no login to cache {cache.name}: {error.message}")


def _about_advisories(config: Path) -> Iterator[Finding]:
    with suppress(UsageError):  # `open_store` reports it
        place = read_config(config).audit_database if config.is_file() else None
        if place is None:
            return
        try:
            require_extra("audit", "audits")
            if "://" not in place:  # no server is asked
                from vstore.audit.sources import LocalSource

                LocalSource(absolute(place)).identity()
        except UsageError as error:
            yield Finding("advisories", "error", f"audit.database of config.toml: {error.message} ({error.hint})")


def _about_store(root: Path, inodes: InodeCache, reporter: Reporter | None) -> tuple[list[Finding], GcResult | None]:
    findings: list[Finding] = []
    collection = None
    try:
        with open_store(root, read_only=True) as store:
            problems = verify(store, contents=False, jobs=os.cpu_count() or 1, inodes=inodes, reporter=reporter)[1]
            findings += (Finding("damaged", "error", f"{one.path}: {one.problem}") for one in problems)
            if os.access(store.layout.locks.folder, os.W_OK):
                collection = plan_gc(store, GcOptions(limits_of(store)), inodes=inodes)
                assert isinstance(collection.found, CollectionPlan)
                findings += _about_collection(root, collection.found)
    except VstoreError as error:
        kind = "settings" if isinstance(error, UsageError) else "store"
        findings.append(Finding(kind, "error", error.message + (f" ({error.hint})" if error.hint else "")))
    return findings, collection


def _about_collection(root: Path, plan: CollectionPlan) -> Iterator[Finding]:
    if left := len(plan.orphans) - len(plan.archives):
        yield Finding("leftovers", "warning", f"{left} leftovers of killed processes; `vstore gc` removes them")
    if shutil.disk_usage(root).free < _LITTLE_BYTES:
        freed = f"{plan.freed_bytes >> 20} MiB"
        yield Finding(
            "garbage", "warning", f"`vstore gc` would free {freed}; `vstore roots` lists the roots that keep the rest"
        )
    if plan.unclear:
        yield Finding(
            "unclear-files",
            "warning",
            f"{len(plan.unclear)} files may belong to missing objects and are not deleted; "
            "run `vstore verify --repair`",
        )
