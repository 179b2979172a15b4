"""`doctor`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vstore.cli.command import command
from vstore.cli.settings import Settings
from vstore.cli.text import size
from vstore.credentials import has_credentials
from vstore.errors import VstoreError

if TYPE_CHECKING:
    from vstore.api.stores import StoreLayout

_SWEPT = {"cache", ".cache", "tmp", "scratch"}
_BIG_LOG_BYTES = 64 << 20
_LITTLE_BYTES = 1 << 30
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs", "ceph", "lustre"}
_PROTECTIONS = {
    "read-only mount": "nobody can change them, store/ is mounted read-only",
    "read-only modes": "this user cannot change them in place, their files and folders are read-only",
    "writable by root": "you are root, whom read-only modes do not stop: `vstore verify` tells what pip, uv or bytecode"
    " changed, and a read-only mount of store/ prevents it (docs/compatibility.md)",
}
_SECRET = re.compile(r"secret|password|token|account_key|sas_key", re.IGNORECASE)  # in names of options
_WITHOUT_LINKS = {"vfat", "exfat", "msdos"}


@command("doctor")
def doctor_command(settings: Settings) -> None:
    """The exit code is 0 even if there are findings; `verify` checks the store."""
    from vstore.api.stores import StoreLayout

    root = settings.location()
    findings = [*_about_machine(), *_about_place(root)]
    if root.exists():
        findings += [*_about_root(StoreLayout(root)), *_about_store(settings)]
    else:
        findings.append(f"there is no store at {root} yet; `vstore realise SPEC` makes it")
    text = "\n".join(f"- {finding}" for finding in findings) or f"nothing odd about {root}"
    objects = _protection(StoreLayout(root).store)
    if objects is not None:
        text += f"\nobjects: {_PROTECTIONS[objects]}"
    settings.emit({"root": str(root), "findings": findings, "objects": objects}, lambda: text)


def _protection(store: Path) -> str | None:
    """How objects are protected against this user; None where there is no store yet."""
    if not store.is_dir():
        return None
    if hasattr(os, "statvfs") and os.statvfs(store).f_flag & getattr(os, "ST_RDONLY", 0):
        return "read-only mount"
    return "writable by root" if hasattr(os, "geteuid") and os.geteuid() == 0 else "read-only modes"


def _about_machine() -> Iterator[str]:
    try:
        from uv import find_uv_bin

        find_uv_bin()
    except (ImportError, FileNotFoundError):
        yield "uv is not installed beside vstore, so nothing can be locked or built; install the `uv` package"


def _about_place(root: Path) -> Iterator[str]:
    if words := _SWEPT & {part.lower() for part in root.parts}:
        yield f"the root lies under {min(words)!r}, which others may clean; choose another with --root"
    kind = _file_system(root)
    if kind in _REMOTE:
        yield f"the root is on a network file system ({kind}): SQLite and file locks may fail there; use a local disk"
    if kind in _WITHOUT_LINKS:
        yield f"the root is on {kind}, which has no hard or symbolic links; use another file system"


def _file_system(place: Path) -> str | None:
    """The type of the mount that holds `place`, as proc_mounts(5) says; None where there is no such file."""
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


def _about_root(layout: StoreLayout) -> Iterator[str]:
    import shutil

    from vstore.api.stores import owner_of

    root = layout.root
    if not os.access(root, os.W_OK):
        yield f"{root} is not writable by this user; only list, info, run and verify will work"
    if hasattr(os, "geteuid") and root.stat().st_uid != os.geteuid():
        yield f"{root} belongs to {owner_of(root)}; use a store of your own, or see docs/store.md on sharing one"
    if layout.uv_cache.exists() and layout.store.exists() and not layout.on_one_mount(layout.uv_cache):
        yield "cache/uv is on another file system or mount than store: files are copied, not linked; put both on one"
    if layout.tmp.exists() and layout.store.exists() and not layout.on_one_mount(layout.tmp):
        yield "tmp is on another mount than store: nothing can be added; mount the whole root in one place"
    yield from _about_logins(layout.config_file)
    free = shutil.disk_usage(root).free
    if free < _LITTLE_BYTES:
        yield f"only {size(free)} free; `vstore gc --dry-run` shows what can go"
    log = layout.index_file.with_name(layout.index_file.name + "-wal")
    if log.exists() and log.stat().st_size > _BIG_LOG_BYTES:
        yield f"the index's log has grown to {size(log.stat().st_size)}: {log.name}; `vstore gc` empties it"


def _about_logins(config: Path) -> Iterator[str]:
    """A login in config.toml that others can read."""
    from vstore.api.config import read_config

    if os.name == "nt" or not config.is_file() or not config.stat().st_mode & 0o077:
        return
    with suppress(VstoreError):  # told elsewhere
        for cache in read_config(config).caches:
            if has_credentials(cache.url) or any(_SECRET.search(name) for name in cache.options):
                yield f"config.toml holds the login of cache {cache.name}, and others can read it: `chmod 600 {config}`"


def _about_store(settings: Settings) -> Iterator[str]:
    import shutil

    from vstore.api.gc import plan_collection, policy_of
    from vstore.api.maintenance import verify

    try:
        with settings.open_store(read_only=True) as store:
            problems = verify(store, contents=False, reporter=settings.reporter)[1]
            yield from (f"{problem.path}: {problem.problem}" for problem in problems)
            if os.access(store.layout.locks.folder, os.W_OK):
                plan = plan_collection(store, policy_of(store.config.gc, until_free=None, now=datetime.now(UTC)))
                if left := len(plan.orphans) - len(plan.archives):
                    yield f"{left} leftovers of killed processes; `vstore gc` removes them"
                if shutil.disk_usage(store.layout.root).free < _LITTLE_BYTES:
                    yield f"`vstore gc` would free {size(plan.freed_bytes)}; `vstore roots` shows what keeps the rest"
                if plan.unclear:
                    yield f"{len(plan.unclear)} leftovers stay while objects are missing; run `vstore verify --repair`"
    except VstoreError as error:
        yield error.message + (f" ({error.hint})" if error.hint else "")
