"""A store's whole life in one short process: ``python -m scripts.reliability.crashes.journey ROOT TOKEN [PROFILE]``.

Makes the root, adds objects, makes two generations, moves a link of a user's on, goes back and forth, forgets one,
makes another profile and removes it, collects, and reindexes. Each TOKEN gives other objects, so that there is always
something to do. Says a line for each generation that it was told is made. ``VSTORE_FAULT`` works as it does for the
command line.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from vstore import profile as profiles
from vstore.errors import BusyError, VstoreError
from vstore.fs import faults
from vstore.gc import CollectionPolicy, collect_garbage
from vstore.objects import Kind, StorePath
from vstore.reporter import NullReporter
from vstore.store import Store
from vstore.store.health.reindex import reindex
from vstore.store.roots.links import make_out_link


def add(store: Store, name: str, text: str, references: tuple[StorePath, ...] = ()) -> StorePath:
    """An object of a few files whose contents all hold `text`."""
    with store.staging(name) as staged:
        (staged / "lib" / "deep").mkdir(parents=True)
        for place in ("a", "lib/b", "lib/deep/c"):
            (staged / place).write_text(f"{text} {place}\n" * 50)
        (staged / "a").chmod(0o755)
        for number, reference in enumerate(references):
            (staged / f"to-{number}").symlink_to(f"../{reference}/a")
        return store.add(staged, name=name, kind=Kind.FRAMEWORK).path


def cache_wheel(store: Store, name: str) -> None:
    """A wheel as uv's cache has it, with a pointer and a link that lead to it, and no object that shares it."""
    cache = store.layout.uv_cache
    archive, wheel = cache / "archive-v0" / f"{name:x<16}", cache / "wheels-v1" / "index" / name / "1.0"
    for folder in (archive / "x-1.0.dist-info", wheel.parent):
        folder.mkdir(parents=True, exist_ok=True)
    (cache / ".lock").touch()
    for mark in ("METADATA", "WHEEL"):
        (archive / "x-1.0.dist-info" / mark).write_text(name)
    wheel.with_name("1.0.rev").write_text(archive.name)
    if not wheel.is_symlink():
        wheel.symlink_to(archive)


def live(root: Path, token: str, profile: str) -> None:
    with Store.open(root) as store:
        low = add(store, "low", "low")
        for step in ("first", "second"):
            top = add(store, "top", f"{profile} {token} {step}", (low,))
            make_out_link(store.layout, root.parent / f"{profile}-link", top)
            made = profiles.append(store, profile, top, spec_path=None, spec_digest=None, now=datetime.now(UTC))
            if made is not None:
                sys.stdout.write(f"{made.number} {made.path}\n")
                sys.stdout.flush()
        profiles.rollback(store, profile)
        profiles.rollback(store, profile, to=made.number if made else None)
        known = profiles.history(store, profile)
        profiles.forget(store, profile, [one.number for one in known if not one.current])
        profiles.append(store, f"{profile}-gone", low, spec_path=None, spec_digest=None, now=datetime.now(UTC))
        profiles.forget_all(store, f"{profile}-gone")
    with Store.open(root) as store:
        cache_wheel(store, f"{profile}{token}")
        collect_garbage(
            store, CollectionPolicy(cache_unshared_since=datetime.max.replace(tzinfo=UTC)), reporter=NullReporter()
        )
    with suppress(BusyError):  # others may have the store open
        reindex(root)


def main() -> None:
    root, token, *rest = sys.argv[1:]
    faults.arm(os.environ.get("VSTORE_FAULT"))
    try:
        live(Path(root), token, rest[0] if rest else "p")
    except (VstoreError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
