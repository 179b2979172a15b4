"""A cache's whole life in one short process: ``python -m scripts.reliability.crashes.exchange FOLDER URL TOKEN``.

A builder in FOLDER pushes a stack with an SBOM, a client pulls it by its channel and fetches the SBOM; the builder
pushes the next version with a delta, the client follows. Each TOKEN gives other objects. ``VSTORE_FAULT`` works as it
does for the command line.
"""

from __future__ import annotations

import os
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from scripts.testing.machine import KEY, TRUST
from scripts.testing.trees import recipe, write
from vstore import profile as profiles
from vstore.errors import VstoreError
from vstore.fs import faults
from vstore.objects import Kind, StorePath
from vstore.remote import (
    Cache,
    Fetcher,
    Pusher,
    Signer,
    fetch_sbom,
    open_cache,
    publish_channel,
    pull,
    read_channel,
)
from vstore.reporter import NullReporter
from vstore.sbom_format import Sbom, SbomFormat
from vstore.store import Provenance, Store

NAMES = ("builder", "client")
CHANNEL = "stable"
SBOM = b"{}\n"


def add(store: Store, token: str) -> StorePath:
    """A stack above a framework with a large file, of which a few bytes depend on the token."""
    content = bytearray(random.Random(1).randbytes(600_000))
    content[300_000:300_000] = token.encode()
    low = _add(store, "low", {"large": bytes(content), "small": b"small"}, ())
    return _add(store, "top", {"a": token.encode()}, (low,))


def _add(store: Store, name: str, files: dict[str, bytes], references: tuple[StorePath, ...]) -> StorePath:
    with store.staging(name) as staged:
        write(staged, files, references)
        made = store.add(
            staged,
            name=name,
            kind=Kind.FRAMEWORK,
            provenance=Provenance(recipe=recipe(repr((name, files, references)))),
        )
        return made.path


def push(store: Store, cache: Cache, top: StorePath, older: StorePath | None) -> None:
    pusher = Pusher(store, cache, Signer((KEY,)), reporter=NullReporter())
    pusher.push([top])
    if older is not None:
        pusher.push_deltas([top], older)
    pusher.push_sbom(Sbom(top, SbomFormat.CYCLONEDX, SBOM))
    info = store.objects.info(top)
    assert info is not None
    publish_channel(cache, CHANNEL, info, signer=Signer((KEY,)), lifetime=timedelta(days=1), now=datetime.now(UTC))


def follow(store: Store, cache: Cache) -> StorePath:
    """The stack of the channel becomes a generation."""
    now = datetime.now(UTC)
    channel = read_channel(store, cache, CHANNEL, trust=TRUST, now=now)
    pull(Fetcher(store, trust=TRUST, reporter=NullReporter()), cache, [channel.path])
    assert fetch_sbom(store, cache, channel.path, SbomFormat.CYCLONEDX, TRUST).data == SBOM
    profiles.append(store, "p", channel.path, spec_path=None, spec_digest=None, now=now)
    return channel.path


def exchange(folder: Path, cache: Cache, token: str) -> None:
    older = None
    for version in ("first", "second"):
        with Store.open(folder / NAMES[0]) as builder:
            if older is not None:
                builder.add_temp_root(older)
            top = add(builder, f"{token} {version}")
            push(builder, cache, top, older)
            older = top
        with Store.open(folder / NAMES[1]) as client:
            assert follow(client, cache) == top


def main() -> None:
    folder, url, token = sys.argv[1:]
    faults.arm(os.environ.get("VSTORE_FAULT"))
    try:
        exchange(Path(folder), open_cache(url), token)
    except (VstoreError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
