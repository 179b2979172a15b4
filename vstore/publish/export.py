"""Exporting: plain folders for systems without a store.

With symlinks, the objects lie side by side under the output folder as they do in the store, and the layers' names are
links to them: an object's content never changes, so neither does anything that an earlier export left there.
Without, each layer is a folder of its own that holds everything it needs, a whole Python prefix.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from vstore.errors import UsageError
from vstore.fs.place import Claim, check_output_folder, look, put_link, recognise
from vstore.fs.trees.manifest import EntryKind, Manifest
from vstore.objects import Kind, StorePath
from vstore.publish.copy_tree import Copier, Copy
from vstore.publish.filesystem import check_names, probe
from vstore.publish.flatten import flatten
from vstore.publish.marks import is_flat_layer, is_link_to_object
from vstore.publish.members import bottom_up
from vstore.publish.model import Member, Record, own, placed_record
from vstore.publish.output_dir import State, claimed, combined
from vstore.reporter import Reporter
from vstore.store import Store
from vstore.values import frozen


class Links(StrEnum):
    """How what a layer shares with others gets into an export."""

    AUTO = "auto"
    SYMLINK = "symlink"
    COPY = "copy"


@frozen
class ExportOptions:
    """`only`: the names of the layers wanted, None for all; `hardlink`: files may be the store's own."""

    links: Links = Links.AUTO
    hardlink: bool = False
    force: bool = False
    only: frozenset[str] | None = None


class Step(NamedTuple):
    """A folder of the export, the object that it is made from, and the layer that it is for (None: only an object)."""

    folder: str
    path: StorePath
    member: Member | None


@frozen
class ExportPlan:
    """What an export would do; `keep` is there already. `named` are the members that get a record, and a name.

    `claims` are the places of folders and links that are written.
    """

    links: Links
    write: tuple[Step, ...]
    keep: tuple[Step, ...]
    claims: Mapping[str, Claim]
    named: tuple[tuple[Member, Record], ...]
    document: Mapping[str, object]


def plan_export(store: Store, members: Sequence[Member], output: Path, options: ExportOptions) -> ExportPlan:
    """Decide what is missing in `output`, which may not be there yet.

    Raises UsageError when symlinks are asked for and impossible.
    """
    check_output_folder(output, store=store.layout.root)
    features = probe(next(folder for folder in (output, *output.parents) if folder.is_dir()))
    if options.links == Links.SYMLINK and not features.symlinks:
        raise UsageError(f"{output} is on a file system without symlinks", hint="use --links copy or auto")
    links = Links.SYMLINK if features.symlinks and options.links != Links.COPY else Links.COPY
    chosen = _selected(members, options.only, links)
    state = State(output)
    named = tuple((member, _record(store, member, chosen, links)) for member in chosen if _is_named(member, links))
    if links == Links.SYMLINK:
        paths = [member.path for member in chosen if member.path is not None]
        steps = [Step(str(path), path, None) for path in bottom_up(store, paths)]
        there = {step.folder for step in steps if _is_folder(output / step.folder)}
    else:
        steps = [Step(member.deployed, member.path, member) for member, _ in named if member.path is not None]
        same = {member.deployed for member, record in named if _is_kept(state.record(member.deployed), record)}
        there = {name for name in same if _is_folder(output / name)}
    kept = frozenset() if options.force else there
    write = tuple(step for step in steps if step.folder not in kept)
    return ExportPlan(
        links=links,
        write=write,
        claims=_claims(output, state, write, [member.deployed for member, _ in named], links),
        keep=tuple(step for step in steps if step.folder in kept),
        named=named,
        document=combined(
            [(member.kind, record) for member, record in named], state.listed() if options.only is not None else {}
        ),
    )


def export(
    store: Store, members: Sequence[Member], output: Path, options: ExportOptions, *, reporter: Reporter
) -> ExportPlan:
    """Make the members' folders in `output`, leaving alone those that are there already; what was done.

    Raises UsageError as `plan_export`, VstoreError for names that the file system cannot hold.
    """
    with claimed(store, output) as place:
        plan = plan_export(store, members, place, options)
        work = _Export(store, place, plan, options, reporter)
        for step in plan.write:
            if step.member is None:
                work.copy_object(step.path)
            else:
                work.flatten(step.member, step.path)
        for member, record in plan.named:
            if plan.links == Links.SYMLINK:
                work.name(member)
            work.state.write(member.deployed, record)
        work.state.write_manifest(plan.document)
        return plan


class _Export:
    """One run into one folder."""

    def __init__(self, store: Store, place: Path, plan: ExportPlan, options: ExportOptions, reporter: Reporter) -> None:
        self.store = store
        self.place = place
        self._claims = plan.claims
        self.state = State(place)
        self._features = probe(place)
        self._copier = Copier(hardlink=options.hardlink, share=plan.links == Links.COPY and self._features.hard_links)
        self._reporter = reporter

    def name(self, member: Member) -> None:
        """Make the layer's name a link to its object."""
        put_link(str(member.path), self._claims[member.deployed])

    def copy_object(self, path: StorePath) -> None:
        """The object as it is in the store."""
        entries = self._manifest(path).entries
        check_names(self.place, [entry.path for entry in entries], self._features, subject=path.name)
        source = os.fsencode(self.store.layout.object(path)) + b"/"
        files = [entry for entry in entries if entry.kind == EntryKind.FILE]
        self._tree(
            str(path),
            [entry.path for entry in entries if entry.kind == EntryKind.DIRECTORY],
            [Copy(entry.path, source + entry.path, entry.executable) for entry in files],
            [(entry.path, entry.target) for entry in entries if entry.kind == EntryKind.SYMLINK],
        )

    def flatten(self, member: Member, path: StorePath) -> None:
        """The layer as a whole Python prefix."""
        flat = flatten(path, self._interpreter(path), self._manifest)
        check_names(self.place, [*flat.folders, *flat.files], self._features, subject=member.deployed)
        if flat.dangling:
            self._reporter.note(f"{member.deployed}: left out {len(flat.dangling)} links that lead nowhere")
        files = [
            Copy(to, os.fsencode(self.store.layout.object(one.object)) + b"/" + one.path, one.executable)
            for to, one in flat.files.items()
        ]
        self.state.forget(member.deployed)
        self._tree(member.deployed, flat.folders, files, [])

    def _tree(
        self,
        name: str,
        folders: Sequence[bytes],
        files: Sequence[Copy],
        links: Sequence[tuple[bytes, bytes]],
    ) -> None:
        started, done = time.monotonic(), 0
        self._reporter.progress(name, "copying", 0, len(files))

        def on_file() -> None:
            nonlocal done
            done += 1
            if done % 256 == 0:
                self._reporter.progress(name, "copying", done, len(files))

        self._copier.tree(self._claims[name], folders, files, links, on_file=on_file)
        self._reporter.completed(name, "exported", time.monotonic() - started)

    def _manifest(self, path: StorePath) -> Manifest:
        return self.store.manifest(path)[0]

    def _interpreter(self, path: StorePath) -> StorePath | None:
        """The interpreter that a layer starts, which it refers to itself."""
        info = self.store.index.info(path)
        for reference in info.references if info else ():
            below = self.store.index.info(reference)
            if below is not None and below.kind == Kind.INTERPRETER:
                return reference
        return None


def check_export(store: Store, output: Path, names: Iterable[str]) -> None:
    """Raise UsageError, before any work, if layers of these names cannot go to `output`."""
    check_output_folder(output, store=store.layout.root)
    state = State(output)
    state.check(names)
    known = _flat(state)
    for name in names:
        recognise(output / name, lambda path, status: is_link_to_object(path, status) or _is_flat(path, status, known))


def _flat(state: State) -> set[object]:
    """The names of the folders that exports without links have recorded."""
    return {own(row).get("name") for row in state.rows() if own(row).get("links") == Links.COPY}


def _is_flat(path: Path, status: os.stat_result, known: set[object]) -> bool:
    return stat.S_ISDIR(status.st_mode) and (path.name in known or is_flat_layer(path))


def _claims(output: Path, state: State, write: Sequence[Step], names: Sequence[str], links: Links) -> dict[str, Claim]:
    """The places of what is written. Raises UsageError if something that is not ours is in one."""
    state.check(names)
    known = _flat(state)

    def is_replaceable(path: Path, status: os.stat_result) -> bool:
        flat, linked = _is_flat(path, status, known), is_link_to_object(path, status)
        if flat if links == Links.SYMLINK else linked:
            how = "without" if flat else "with"
            raise UsageError(f"there is an export {how} links: {path}", hint="choose another folder")
        return flat or linked

    if links == Links.COPY:
        return {step.folder: recognise(output / step.folder, is_replaceable) for step in write}
    objects = {
        step.folder: recognise(output / step.folder, lambda _, status: stat.S_ISDIR(status.st_mode)) for step in write
    }
    return objects | {name: recognise(output / name, is_replaceable) for name in names}


def _is_named(member: Member, links: Links) -> bool:
    return member.is_layer or (member.kind == Kind.STACK and links == Links.SYMLINK)


def _record(store: Store, member: Member, chosen: Sequence[Member], links: Links) -> Record:
    """What the metadata say of a member that is exported."""
    with_links = links == Links.SYMLINK
    folders = {one.name: str(one.path) if with_links else one.deployed for one in chosen if one.is_layer}
    info = store.index.info(member.path) if member.path is not None else None
    return {
        **placed_record(member, dict(folders)),
        "install_target": str(member.path) if with_links else member.deployed,
        "vstore": {
            "store_path": str(member.path) if member.path else None,
            "digest": str(info.digest) if info else None,
            "kind": str(member.kind),
            "name": member.deployed,
            "links": str(links),
            "references": [str(path) for path in info.references] if info else [],
        },
    }


def _is_folder(path: Path) -> bool:
    """Whether it is a folder, and no link to one."""
    status = look(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _is_kept(earlier: Record | None, record: Record) -> bool:
    """Whether the folder that the earlier record describes holds what the new one would."""
    return earlier is not None and earlier.get("vstore") == record["vstore"]


def _selected(members: Sequence[Member], only: frozenset[str] | None, links: Links) -> list[Member]:
    """The members to export; what only some layers sit on comes with them, or is in them where there are no links."""
    if only is None:
        found = list(members)
    else:
        needed = {
            low for member in members if member.name in only and links == Links.SYMLINK for low in member.dependencies
        }
        found = [member for member in members if member.is_layer and member.name in only | needed]
    names = [member.deployed for member in found if member.kind != Kind.INTERPRETER]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"two members of the stack are called {twice[0]}", hint="rename the layer or the profile")
    return found
