"""Archives: one for each layer, for the interpreter and for the stack, with metadata beside them.

The top folder of an archive is the store path of the object, so archives that any tar unpacks into one folder run.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from vstore.archive import Compression, Packer
from vstore.fs.atomic import flush_file, fsync_directory
from vstore.fs.place import Claim, check_output_folder, lstat_or_none, put_file, recognise
from vstore.fs.scratch import scratch
from vstore.fs.trees.manifest import Manifest
from vstore.objects import ArchiveInfo, StorePath
from vstore.publish.archive_plan import ArchiveOptions, EarlierArchive, archive_labels, plan_archives
from vstore.publish.earlier_outputs import is_archive
from vstore.publish.members import Member, StackMembers
from vstore.publish.metadata_folder import MetadataFolder, lock_output_folder
from vstore.publish.output import OutputItem, OutputPlan
from vstore.publish.records import MemberRecord, Tables, combine, outdated_layers, own_fields
from vstore.remote.packing.packed_archives import PackedArchives
from vstore.reporter import ByteProgress, CancellableReporter, NullReporter, Reporter
from vstore.store import Store
from vstore.values import frozen, replace

_BYTECODE = b"__pycache__"


@frozen
class ArchiveOutput:
    """Archives in `folder`, which need not exist, of members for the platform `target`."""

    store: Store
    folder: Path
    target: str
    options: ArchiveOptions

    @property
    def _metadata(self) -> MetadataFolder:
        return MetadataFolder(self.folder, self.target if self.options.tag_outputs else "")

    def check(self, names: Iterable[str]) -> None:
        """Raise UsageError if archives of layers of these names cannot be written to the folder."""
        check_output_folder(self.folder, store=self.store.layout.root)
        suffix = self.options.compression.suffix
        self._claim({} if self.options.tag_outputs else {name: f"{name}{suffix}" for name in names})

    def plan(self, stack: StackMembers) -> OutputPlan:
        """Return the archives to pack, and those that are unchanged. Raises UsageError."""
        check_output_folder(self.folder, store=self.store.layout.root)
        items = self._items(stack)
        self._claim({item.label: item.name for item in items if not item.unchanged})
        return self._with_manifest(items, stack)

    def write(self, stack: StackMembers, *, jobs: int = 1, reporter: Reporter | None = None) -> OutputPlan:
        """Pack the archives that are missing or changed, then write the metadata. `jobs` threads compress one archive.

        After a crash at any moment, an archive under its final name is complete and a record describes such an archive.
        Raises UsageError and BusyError.
        """
        reporter = reporter or NullReporter()
        with lock_output_folder(self.store, self.folder) as folder:
            here = replace(self, folder=folder)
            items = here._items(stack)
            here._metadata.check(item.label for item in items)
            claims = here._claim({item.label: item.name for item in items if not item.unchanged})
            items = tuple(
                item if item.unchanged else here._pack(item, claims[item.label], jobs, reporter) for item in items
            )
            for item in items:
                if item.record is not None:
                    here._metadata.write_record(item.label, item.record)
            plan = here._with_manifest(items, stack)
            if plan.manifest is not None:
                here._metadata.write_manifest(plan.manifest)
                for name in outdated_layers(plan.manifest):
                    reporter.warn(
                        f"{name} in {folder} needs objects that are no longer there",
                        hint="publish it again, or the whole spec",
                    )
            fsync_directory(folder)
            return plan

    def _items(self, stack: StackMembers) -> tuple[OutputItem, ...]:
        members, metadata = stack.selected(below=True), self._metadata
        infos = (self.store.objects.info(member.path) for member in members if member.path)
        listed = metadata.read_manifest()
        return plan_archives(
            members,
            target=self.target,
            infos={info.path: info for info in infos if info},
            earlier={
                label: self._earlier(metadata.read_record(label) or _interrupted(member, listed))
                for member, label in zip(members, archive_labels(members), strict=True)
            },
            options=self.options,
        )

    def _earlier(self, record: MemberRecord) -> EarlierArchive:
        status = lstat_or_none(self.folder / record["archive_name"]) if "archive_name" in record else None
        return EarlierArchive(record, status.st_size if status and stat.S_ISREG(status.st_mode) else None)

    def _claim(self, names: Mapping[str, str]) -> dict[str, Claim]:
        """Claim the places of archives, by label. Raises UsageError for a file that vstore did not make."""
        self._metadata.check(names)
        known = {record.get("archive_name") for record in self._metadata.read_all()}

        def is_ours(path: Path, status: os.stat_result) -> bool:
            return stat.S_ISREG(status.st_mode) and (path.name in known or is_archive(path, status))

        return {label: recognise(self.folder / name, is_ours) for label, name in names.items()}

    def _pack(self, item: OutputItem, place: Claim, jobs: int, reporter: Reporter) -> OutputItem:
        """Make one archive aside and move it to its place. Its record is removed before and written after."""
        path = item.path
        assert path is not None and item.record is not None
        started = time.monotonic()
        with scratch(self.folder, "publish") as aside:
            info = self._packed(path, aside / item.name, item.label, jobs, reporter)
            with open(aside / item.name, "rb+") as archive:
                flush_file(archive.fileno())
            self._metadata.remove_record(item.label)
            put_file(aside / item.name, place)
        record: MemberRecord = {
            **item.record,
            "archive_size": info.size_bytes,
            "archive_hashes": {"sha256": info.sha256},
            "vstore": {
                **own_fields(item.record),
                "diff_id": info.diff_id,
                "index_digest": str(info.index_digest) if info.index_digest else None,
                "content_bytes": info.content_bytes,
            },
        }
        self._metadata.write_record(item.label, record)
        reporter.completed(item.label, "packed", time.monotonic() - started)
        return item._replace(record=record)

    def _packed(self, path: StorePath, file: Path, label: str, jobs: int, reporter: Reporter) -> ArchiveInfo:
        """Make `file` the archive of an object: the one that caches have, where it is of that form."""
        options = self.options
        if options.compression is Compression.ZST and options.bytecode:
            told = CancellableReporter(reporter)
            return PackedArchives(self.store, level=options.level, jobs=jobs, reporter=told).write(
                path, file, label=label
            )
        manifest = self.store.manifest(path)[0]
        if not options.bytecode:
            manifest = Manifest(tuple(one for one in manifest.entries if _BYTECODE not in one.path.split(b"/")))
        packing = ByteProgress(reporter, label, "packing", manifest.size_bytes)
        packer = Packer(options.compression, level=options.level, jobs=jobs)
        return packer.pack(self.store.layout.object(path), manifest, file, name=str(path), on_bytes=packing.add)

    def _with_manifest(self, items: tuple[OutputItem, ...], stack: StackMembers) -> OutputPlan:
        records = [(item.kind, item.record) for item in items if item.record is not None]
        earlier: Tables = {} if stack.only is None else self._metadata.read_manifest()
        return OutputPlan(items=items, manifest=combine(records, earlier))


def _interrupted(member: Member, listed: Tables) -> MemberRecord:
    """Return the entry of a layer in the manifest, for a layer without a record: a run was killed while it replaced it.

    Only the build number counts then, so the size and the hash are omitted.
    """
    rows = listed.get(member.kind, ()) if member.is_layer else ()
    record: MemberRecord = {}
    for row in rows:
        if row["layer_name"] == member.name:
            record = {**row}
    record.pop("archive_size", None)
    record.pop("archive_hashes", None)
    return record
