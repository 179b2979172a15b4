"""Bundles: objects with their closures in one file, for machines without a network."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vstore.errors import ArchiveError, CacheError, UsageError
from vstore.fs.place import claim, put_file
from vstore.fs.scratch import scratch
from vstore.objects import StorePath
from vstore.publish.bundle_transport import BundleReader, BundleWriter
from vstore.publish.earlier_outputs import is_bundle
from vstore.publish.members import StackMembers
from vstore.publish.output import OutputItem, OutputPlan
from vstore.remote import Fetcher, FileCache, Pusher, PushOptions, SecretKey, Signer, Trust, check_exists, pull
from vstore.reporter import NullReporter, RenamingReporter, Reporter
from vstore.store import Provenance, Store
from vstore.values import frozen

_PACK_WORDS = {"push": "pack", "pushing": "writing", "pushed": "packed"}  # a bundle is written as a cache is
_UNPACK_WORDS = {"fetching": "unpacking", "fetched": "unpacked"}


@frozen
class BundleOptions:
    """`level` None is the default compression. `keys` sign the realisations.

    `without` and their closures are omitted. If `closure` is False, only the named objects are packed.
    """

    level: int | None = None
    keys: tuple[SecretKey, ...] = ()
    closure: bool = True
    without: tuple[StorePath, ...] = ()


@frozen
class BundleOutput:
    """One bundle, at `file`. A bundle has no metadata files, and is always written whole."""

    store: Store
    file: Path
    options: BundleOptions

    def check(self, names: Iterable[str]) -> None:
        """Raise UsageError if the file is anything but a bundle. `names` do not matter."""
        claim(self.file, is_bundle, store=self.store.layout.root)

    def plan(self, stack: StackMembers) -> OutputPlan:
        """Return the objects to pack, each after its references. Raises UsageError if there are none.

        In a dry run, members that are not built yet come last, by their names.
        """
        self.check(())
        return self._plan(stack)

    def write(self, stack: StackMembers, *, jobs: int = 1, reporter: Reporter | None = None) -> OutputPlan:
        """Write the bundle, whole or not at all; `jobs` objects are compressed at a time. Raises UsageError."""
        plan = self._plan(stack)
        place = claim(self.file, is_bundle, store=self.store.layout.root)
        tops, level = _tops(stack), self.options.level
        with scratch(self.file.parent, "pack") as aside:
            with open(aside / "bundle", "xb") as file:
                writer = BundleWriter(file, tops, url=str(self.file))
                cache, without = FileCache(writer, name=self.file.name), self._excluded(tops)
                signer, options = Signer(self.options.keys), PushOptions(level=level, jobs=jobs)
                told = RenamingReporter(reporter or NullReporter(), _PACK_WORDS)
                pusher = Pusher(self.store, cache, signer, options, reporter=told, without=without)
                pusher.push(tops)
                writer.finish()
                file.flush()
                os.fsync(file.fileno())
            put_file(aside / "bundle", place)
        return plan

    def _plan(self, stack: StackMembers) -> OutputPlan:
        tops = _tops(stack)
        excluded = self._excluded(tops)
        unbuilt = [member for member in stack.selected(below=self.options.closure) if member.path is None]
        if not unbuilt and not set(tops) - excluded:
            raise UsageError("there is nothing left to pack", hint="--without leaves out all that WHAT refers to")
        infos = [info for info in self.store.objects.bottom_up(tops) if info.path not in excluded]
        items = [OutputItem(info.path.name, str(info.path), info.kind, info.path, info.size_bytes) for info in infos]
        items += [OutputItem(one.deployed_name, one.deployed_name, one.kind, None, None) for one in unbuilt]
        return OutputPlan(items=tuple(items))

    def _excluded(self, tops: Iterable[StorePath]) -> frozenset[StorePath]:
        tops = set(tops)
        beside = set() if self.options.closure else self.store.objects.closure(tops) - tops
        return frozenset(self.store.objects.closure(self.options.without) | beside)


def _tops(stack: StackMembers) -> tuple[StorePath, ...]:
    return tuple(member.path for member in stack.selected(below=False) if member.path)


@frozen
class Unpacked:
    """The named objects of a bundle, the objects that it added, and how many recipes it answers from now on."""

    tops: tuple[StorePath, ...]
    added: tuple[StorePath, ...]
    realisations: int


def unpack_bundle(store: Store, file: Path, *, trust: Trust, reporter: Reporter | None = None) -> Unpacked:
    """Add the objects of a bundle to the store. Objects added before an error stay, so it can be run again.

    Every object is verified by its name. The result of a recipe, which no name proves, is accepted only if trusted keys
    signed it. Raises ArchiveError for a bundle that is malformed or incomplete.
    """
    with BundleReader(file) as reader:
        cache = FileCache(reader, name=file.name)
        try:
            check_exists(cache)
            told = RenamingReporter(reporter or NullReporter(), _UNPACK_WORDS)
            pulled = pull(Fetcher(store, trust=trust, reporter=told), cache, reader.tops)
            realisations = _add_realisations(store, cache, trust)
        except CacheError as error:
            raise ArchiveError(f"{file.name}: {error.message}", details=error.details) from error
        return Unpacked(tops=reader.tops, added=tuple(one.path for one in pulled.fetched), realisations=realisations)


def _add_realisations(store: Store, cache: FileCache, trust: Trust) -> int:
    """Register the results of recipes that trusted keys signed and whose objects are here, and return their number."""
    count = 0
    for found in cache.realisations():
        info = store.objects.info(found.path)
        signed = trust.trusts(found)
        if signed and info is not None and info.digest == found.digest:
            if store.realisation(found.recipe) is None:
                store.add_provenance(found.path, Provenance(recipe=found.recipe))
            count += 1
    return count
