"""Plain folders, for systems without a store.

With symlinks, the objects lie side by side in the output folder as in a store, and the names of the layers are links to
them. Objects never change, so the output of an earlier run is never overwritten. Without symlinks, each layer is a
folder that holds everything it needs: a whole Python prefix.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from vstore.errors import UsageError
from vstore.fs.place import Claim, check_output_folder, lstat_or_none, put_link, recognise
from vstore.fs.trees.manifest import EntryKind, Manifest
from vstore.objects import Kind, StorePath
from vstore.publish.earlier_outputs import is_flat_layer, is_link_to_object
from vstore.publish.filesystem import check_names, probe
from vstore.publish.flatten import flatten
from vstore.publish.members import Member, StackMembers
from vstore.publish.metadata_folder import MetadataFolder, lock_output_folder
from vstore.publish.output import OutputItem, OutputPlan
from vstore.publish.records import MemberRecord, combine, own_fields
from vstore.publish.tree_copier import TreeCopier, TreeFile
from vstore.reporter import ByteProgress, NullReporter, Reporter
from vstore.store import Store
from vstore.values import frozen, replace


class LinkMode(StrEnum):
    """The form of files of other objects in a layer. AUTO is SYMLINK where the file system has symlinks, else COPY."""

    AUTO = "auto"
    SYMLINK = "symlink"
    COPY = "copy"


@frozen
class FolderOptions:
    """`hardlink` lets files be those of the store. `force` copies unchanged folders again."""

    links: LinkMode = LinkMode.AUTO
    hardlink: bool = False
    force: bool = False


@frozen
class FolderOutput:
    """Plain folders in `folder`, which need not exist."""

    store: Store
    folder: Path
    options: FolderOptions

    @property
    def _metadata(self) -> MetadataFolder:
        return MetadataFolder(self.folder)

    def _link_mode(self) -> LinkMode:
        """Return SYMLINK or COPY for the file system of the folder. Raises UsageError for one that has no symlinks.

        A scratch folder is made in the folder, or in the nearest one above that exists, and removed.
        """
        has_symlinks = probe(next(one for one in (self.folder, *self.folder.parents) if one.is_dir())).symlinks
        if self.options.links == LinkMode.SYMLINK and not has_symlinks:
            raise UsageError(f"{self.folder} is on a file system without symlinks", hint="use --links copy or auto")
        return LinkMode.SYMLINK if has_symlinks and self.options.links != LinkMode.COPY else LinkMode.COPY

    def check(self, names: Iterable[str]) -> None:
        """Raise UsageError if folders of layers of these names cannot be written to the folder."""
        check_output_folder(self.folder, store=self.store.layout.root)
        self._metadata.check(names)
        known = _recorded_copies(self._metadata)
        for name in names:
            recognise(
                self.folder / name,
                lambda path, status: is_link_to_object(path, status) or _is_flat(path, status, known),
            )

    def plan(self, stack: StackMembers) -> OutputPlan:
        """Return the folders to write, and those that are unchanged. Raises UsageError."""
        check_output_folder(self.folder, store=self.store.layout.root)
        plan, links = self._plan(stack)
        self._claim(plan, links)
        return plan

    def write(self, stack: StackMembers, *, jobs: int = 1, reporter: Reporter | None = None) -> OutputPlan:
        """Copy the folders that are missing or changed, then write names and metadata. `jobs` is not used.

        Raises UsageError, BusyError, and VstoreError for names that the file system cannot hold.
        """
        reporter = reporter or NullReporter()
        with lock_output_folder(self.store, self.folder) as folder:
            here = replace(self, folder=folder)
            plan, links = here._plan(stack)
            claims = here._claim(plan, links)
            copying = _Copying(here, claims, reporter, share=links == LinkMode.COPY)
            for item in plan.written:
                if links == LinkMode.SYMLINK:
                    copying.copy_object(item)
                else:
                    here._metadata.remove_record(item.label)
                    copying.copy_flat(item)
            for item in plan.items:
                if item.record is not None:
                    if links == LinkMode.SYMLINK:
                        put_link(item.name, claims[item.label])
                    here._metadata.write_record(item.label, item.record)
            if plan.manifest is not None:
                here._metadata.write_manifest(plan.manifest)
            return plan

    def _plan(self, stack: StackMembers) -> tuple[OutputPlan, LinkMode]:
        links = self._link_mode()
        members = _selected(stack, links)
        named = [(member, self._record(member, members, links)) for member in members if _is_named(member, links)]
        items = self._object_items(members, named) if links == LinkMode.SYMLINK else self._flat_items(named)
        earlier = {} if stack.only is None else self._metadata.read_manifest()
        manifest = combine([(member.kind, record) for member, record in named], earlier)
        return OutputPlan(items=tuple(items), manifest=manifest), links

    def _record(self, member: Member, members: Sequence[Member], links: LinkMode) -> MemberRecord:
        def folder(one: Member) -> str | None:
            return one.deployed_name if links == LinkMode.COPY else str(one.path) if one.path else None

        info = self.store.objects.info(member.path) if member.path else None
        record = member.record(info, folder(member), {one.name: folder(one) for one in members if one.is_layer})
        own_fields(record)["links"] = str(links)
        return record

    def _object_items(
        self, members: Sequence[Member], named: Sequence[tuple[Member, MemberRecord]]
    ) -> Iterator[OutputItem]:
        """Yield an item for each object of the closure; with a record if a layer or the stack is a link to it."""
        by_path = {member.path: (member, record) for member, record in named if member.path}
        records = {member.name: record for member, record in named}
        for info in self.store.objects.bottom_up(member.path for member in members if member.path):
            member, record = by_path.get(info.path, (None, None))
            label, name = member.deployed_name if member else info.path.name, str(info.path)
            unchanged = not self.options.force and _is_folder(self.folder / name)
            yield OutputItem(label, name, info.kind, info.path, info.size_bytes, unchanged, record)
        for member in members:
            if member.path is None:
                name, record = member.deployed_name, records.get(member.name)
                yield OutputItem(name, name, member.kind, None, None, False, record)

    def _flat_items(self, named: Sequence[tuple[Member, MemberRecord]]) -> Iterator[OutputItem]:
        """Yield an item for each layer."""
        for member, record in named:
            name, info = member.deployed_name, self.store.objects.info(member.path) if member.path else None
            earlier = self._metadata.read_record(name)
            same = earlier is not None and own_fields(earlier) == own_fields(record) and member.path is not None
            unchanged = same and not self.options.force and _is_folder(self.folder / name)
            yield OutputItem(name, name, member.kind, member.path, info.size_bytes if info else None, unchanged, record)

    def _claim(self, plan: OutputPlan, links: LinkMode) -> dict[str, Claim]:
        """Claim the places of folders and links, by name. Raises UsageError for anything that vstore did not make."""
        labels = [item.label for item in plan.items if item.record is not None]
        self._metadata.check(labels)
        known = _recorded_copies(self._metadata)

        def is_replaceable(path: Path, status: os.stat_result) -> bool:
            flat, linked = _is_flat(path, status, known), is_link_to_object(path, status)
            if flat if links == LinkMode.SYMLINK else linked:
                how = "without" if flat else "with"
                raise UsageError(f"there is an export {how} links: {path}", hint="choose another folder")
            return flat or linked

        if links == LinkMode.COPY:
            return {item.name: recognise(self.folder / item.name, is_replaceable) for item in plan.written}
        objects = [item.name for item in plan.written if item.path]
        claims = {name: recognise(self.folder / name, _is_real_folder) for name in objects}
        return claims | {label: recognise(self.folder / label, is_replaceable) for label in labels}


class _Copying:
    """The copying of one run."""

    def __init__(self, output: FolderOutput, claims: Mapping[str, Claim], reporter: Reporter, *, share: bool) -> None:
        self._store = output.store
        self._folder = output.folder
        self._claims = claims
        self._reporter = reporter
        self._features = probe(output.folder)
        self._copier = TreeCopier(hardlink=output.options.hardlink, share=share and self._features.hard_links)

    def copy_object(self, item: OutputItem) -> None:
        """Copy an object as it is in the store."""
        assert item.path is not None
        entries = self._manifest(item.path).entries
        check_names(self._folder, [entry.path for entry in entries], self._features, subject=item.label)
        source = os.fsencode(self._store.layout.object(item.path)) + b"/"
        files = [entry for entry in entries if entry.kind == EntryKind.FILE]
        self._copy(
            item,
            [entry.path for entry in entries if entry.kind == EntryKind.DIRECTORY],
            [TreeFile(entry.path, source + entry.path, entry.executable, entry.size) for entry in files],
            [(entry.path, entry.target) for entry in entries if entry.kind == EntryKind.SYMLINK],
        )

    def copy_flat(self, item: OutputItem) -> None:
        """Copy a layer with everything it needs, as a Python prefix."""
        assert item.path is not None
        flat = flatten(item.path, self._interpreter(item.path), self._manifest)
        check_names(self._folder, [*flat.folders, *flat.files], self._features, subject=item.label)
        if flat.dangling:
            self._reporter.note(f"{item.label}: left out {len(flat.dangling)} links that lead nowhere")
        files = [
            TreeFile(
                path, os.fsencode(self._store.layout.object(one.object)) + b"/" + one.path, one.executable, one.size
            )
            for path, one in flat.files.items()
        ]
        self._copy(item, flat.folders, files, [])

    def _copy(
        self,
        item: OutputItem,
        folders: Sequence[bytes],
        files: Sequence[TreeFile],
        links: Sequence[tuple[bytes, bytes]],
    ) -> None:
        started = time.monotonic()
        copying = ByteProgress(self._reporter, item.label, "copying", sum(file.size_bytes for file in files))
        self._copier.copy(
            self._claims[item.name], folders, files, links, on_file=lambda file: copying.add(file.size_bytes)
        )
        self._reporter.completed(item.label, "exported", time.monotonic() - started)

    def _manifest(self, path: StorePath) -> Manifest:
        return self._store.manifest(path)[0]

    def _interpreter(self, path: StorePath) -> StorePath | None:
        """Return the interpreter of a layer, which the layer itself refers to."""
        info = self._store.objects.info(path)
        for reference in info.references if info else ():
            below = self._store.objects.info(reference)
            if below is not None and below.kind == Kind.INTERPRETER:
                return reference
        return None


def _recorded_copies(metadata: MetadataFolder) -> set[str | None]:
    """Return the names of the folders that exports without links have recorded."""
    own = map(own_fields, metadata.read_all())
    return {fields.get("name") for fields in own if fields.get("links") == LinkMode.COPY}


def _is_flat(path: Path, status: os.stat_result, known: set[str | None]) -> bool:
    return stat.S_ISDIR(status.st_mode) and (path.name in known or is_flat_layer(path))


def _is_named(member: Member, links: LinkMode) -> bool:
    return member.is_layer or (member.kind == Kind.STACK and links == LinkMode.SYMLINK)


def _is_real_folder(_: Path, status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode)


def _is_folder(path: Path) -> bool:
    """Whether it is a folder, and not a link to one."""
    status = lstat_or_none(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _selected(stack: StackMembers, links: LinkMode) -> tuple[Member, ...]:
    """Return the members to export. With links, the layers below selected ones are exported too.

    Raises UsageError if two of them have one name.
    """
    found = stack.selected(below=links == LinkMode.SYMLINK)
    if stack.only is not None:  # the closures of the layers have the interpreters that are built
        found = tuple(member for member in found if member.is_layer or member.path is None)
    names = [member.deployed_name for member in found if member.kind != Kind.INTERPRETER]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UsageError(f"two members of the stack are called {repeated[0]}", hint="rename the layer or the profile")
    return found
