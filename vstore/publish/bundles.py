"""Taking stacks where no network goes: into one file, and out of it into another store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from vstore.errors import ArchiveError, CacheError, UsageError
from vstore.fs.place import claim, put_file
from vstore.fs.scratch import scratch
from vstore.objects import StorePath
from vstore.publish.bundle_file import BundleReader, BundleWriter
from vstore.publish.marks import is_bundle
from vstore.remote import Cache, Fetcher, Pusher, SecretKey, Trust, pull
from vstore.remote.records.encoding import decode_realisation
from vstore.remote.records.layout import realisation_key
from vstore.reporter import Reporter
from vstore.store import Store
from vstore.values import frozen


@frozen
class Packed:
    """What went into a bundle, lowest first, and its size."""

    paths: tuple[StorePath, ...]
    size_bytes: int


@frozen
class Unpacked:
    """What a bundle is for, what of it was not here before, and how many recipes it answers from now on."""

    tops: tuple[StorePath, ...]
    added: tuple[StorePath, ...]
    realisations: int


def pack_bundle(
    store: Store,
    tops: Sequence[StorePath],
    output: Path,
    *,
    without: frozenset[StorePath],
    keys: Sequence[SecretKey],
    level: int | None,
    jobs: int,
    reporter: Reporter,
) -> Packed:
    """Write these objects and their closures, but for `without`, into one file, whole or not at all.

    An older bundle at `output` is replaced. Raises UsageError if anything else is there, before any work.
    """
    if not set(tops) - without:
        raise UsageError("there is nothing left to pack")
    place = claim(output, is_bundle, store=store.layout.root)
    with scratch(output.parent, "pack") as aside:
        with open(aside / "bundle", "xb") as file:
            writer = BundleWriter(file, tops, url=str(output))
            cache = Cache(writer, name=output.name)
            pusher = Pusher(store, cache, keys=keys, reporter=reporter, jobs=jobs, level=level, without=without)
            done = pusher.push(tops)
            writer.finish()
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        put_file(aside / "bundle", place)
    return Packed(paths=done.pushed, size_bytes=size)


def unpack_bundle(store: Store, file: Path, *, trust: Trust, reporter: Reporter) -> Unpacked:
    """Make what a bundle holds present; what came before an error is whole and stays, so it can be run again.

    Everything is verified against the names of the objects. What no name proves, which recipe gives which object, is
    believed only when trusted keys signed it. Raises ArchiveError for what is malformed or lacks something.
    """
    with BundleReader(file) as reader:
        cache = Cache(reader, name=file.name)
        try:
            cache.check()
            pulled = pull(Fetcher(store, trust=trust, reporter=reporter), cache, reader.tops)
            realisations = _believe(store, cache, trust)
        except CacheError as error:
            raise ArchiveError(f"{file.name}: {error.message}", details=error.details) from error
        return Unpacked(tops=reader.tops, added=tuple(one.path for one in pulled.fetched), realisations=realisations)


def _believe(store: Store, cache: Cache, trust: Trust) -> int:
    """Record what recipes give, as far as trusted builders have signed it and it is here."""
    count = 0
    for stat in cache.transport.scan("realisations"):
        found = cache.read(stat.key, decode_realisation)
        if found is None or realisation_key(found.recipe) != stat.key:
            raise ArchiveError(f"{stat.key} is the record of another recipe")
        info = store.index.info(found.path)
        signed = trust.refusal(found.line, found.signatures) is None
        if signed and info is not None and info.digest == found.digest:
            if store.realisation(found.recipe) is None:
                store.index.realise(found.recipe, found.path, seconds=None)
            count += 1
    return count


def left_out(
    store: Store, tops: Iterable[StorePath], *, closure: bool, without: Iterable[StorePath]
) -> frozenset[StorePath]:
    """What a bundle need not hold: what is below `without`, and without `closure` all but the tops."""
    found = set(store.closure(without))
    if not closure:
        tops = list(tops)
        found |= store.closure(tops) - set(tops)
    return frozenset(found)
