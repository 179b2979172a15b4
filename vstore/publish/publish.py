"""Publishing: an archive for each layer, for their interpreter and for the stack, with metadata beside them.

The top folder of an archive is the object's store path, so archives unpacked side by side, by anyone's tar, run.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vstore.archive import pack
from vstore.fs.atomic import flush_file, fsync_directory
from vstore.fs.place import Claim, check_output_folder, look, put_file, recognise
from vstore.fs.scratch import scratch
from vstore.fs.trees.manifest import Manifest
from vstore.objects import StorePath
from vstore.publish.marks import is_archive
from vstore.publish.model import Member, Record, own
from vstore.publish.output_dir import State, all_records, claimed, combined
from vstore.publish.plan import ARCHIVE_KEYS, PublishOptions, Step, plan_archives, stems
from vstore.reporter import Reporter, Unit
from vstore.store import Store
from vstore.values import frozen

_BYTECODE = b"__pycache__"


@frozen
class Published:
    """What was done, or would be: the steps in the members' order, and the combined manifest."""

    steps: tuple[Step, ...]
    document: dict[str, Any]

    @property
    def outdated(self) -> tuple[str, ...]:
        """Layers of earlier runs that need an object which is not in the folder any more."""
        records = all_records(self.document)
        there = {own(record).get("store_path") for record in records}
        return tuple(
            str(record["layer_name"])
            for record in records
            if any(path not in there for path in own(record).get("references", ()))
        )


def plan_publish(
    store: Store, members: Sequence[Member], output: Path, options: PublishOptions, *, target: str
) -> Published:
    """What publishing into `output`, which may not be there yet, would write."""
    check_output_folder(output, store=store.layout.root)
    state = _state(output, options, target)
    steps = _steps(store, members, output, state, options, target)
    _claims(output, state, _packed(steps))
    return _published(steps, state, options)


def publish(
    store: Store,
    members: Sequence[Member],
    output: Path,
    options: PublishOptions,
    *,
    target: str,
    jobs: int,
    reporter: Reporter,
) -> Published:
    """Write the archives that are missing or changed, then the metadata; `jobs` threads compress one archive.

    Whatever the instant of a crash, an archive under its own name is whole, and a record speaks of such a one.
    Raises BusyError while another process publishes there, UsageError, and what `pack` raises.
    """
    with claimed(store, output) as place:
        state = _state(place, options, target)
        work = _Publish(store, place, state, options, jobs, reporter)
        steps = _steps(store, members, place, state, options, target)
        state.check(step.stem for step in steps)
        claims = _claims(place, state, _packed(steps))
        done = [step if step.keep else work.make(step, claims[step.stem]) for step in steps]
        for step in done:
            state.write(step.stem, step.record)
        published = _published(done, state, options)
        state.write_manifest(published.document)
        fsync_directory(place)
        for name in published.outdated:
            reporter.warn(
                f"{name} in {place} needs objects that are not there any more",
                hint="publish it again, or the whole spec",
            )
        return published


class _Publish:
    """One run into one folder."""

    def __init__(
        self, store: Store, place: Path, state: State, options: PublishOptions, jobs: int, reporter: Reporter
    ) -> None:
        self._store = store
        self._place = place
        self._state = state
        self._options = options
        self._jobs = jobs
        self._reporter = reporter

    def make(self, step: Step, place: Claim) -> Step:
        """Pack one archive: aside, flushed, then in its place; the record goes before and comes back after."""
        path = step.member.path
        assert path is not None
        started, done, total = time.monotonic(), 0, _size(self._store, step)
        self._reporter.progress(step.stem, "packing", 0, total, Unit.BYTES)

        def on_bytes(count: int) -> None:
            nonlocal done
            done += count
            self._reporter.progress(step.stem, "packing", done, total, Unit.BYTES)

        name = str(step.record["archive_name"])
        with scratch(self._place, "publish") as aside:
            info = pack(
                self._store.layout.object(path),
                self._content(path),
                aside / name,
                name=str(path),
                compression=self._options.compression,
                level=self._options.level,
                jobs=self._jobs,
                on_bytes=on_bytes,
            )
            with open(aside / name, "rb+") as archive:
                flush_file(archive.fileno())
            self._state.forget(step.stem)
            put_file(aside / name, place)
        record = {**step.record, "archive_size": info.size_bytes, "archive_hashes": {"sha256": info.sha256}}
        index = str(info.index_digest) if info.index_digest else None
        record["vstore"] = {**own(record), "index_digest": index, "content_bytes": info.content_bytes}
        self._state.write(step.stem, record)
        self._reporter.completed(step.stem, "packed", time.monotonic() - started)
        return step._replace(record=record)

    def _content(self, path: StorePath) -> Manifest:
        manifest = self._store.manifest(path)[0]
        if self._options.bytecode:
            return manifest
        return Manifest(tuple(entry for entry in manifest.entries if _BYTECODE not in entry.path.split(b"/")))


def check_publish(store: Store, output: Path, names: Iterable[str], options: PublishOptions, *, target: str) -> None:
    """Raise UsageError, before any work, if the archives of layers of these names cannot go to `output`."""
    check_output_folder(output, store=store.layout.root)
    plain = {} if options.tag_outputs else {name: f"{name}{options.compression.suffix}" for name in names}
    _claims(output, _state(output, options, target), plain)


def _state(output: Path, options: PublishOptions, target: str) -> State:
    return State(output, target if options.tag_outputs else "")


def _claims(output: Path, state: State, archives: Mapping[str, str]) -> dict[str, Claim]:
    """The places of archives, by stem. Raises UsageError if something that is not ours is in one."""
    state.check(archives)
    known = {row.get("archive_name") for row in state.rows()}

    def is_ours(path: Path, status: os.stat_result) -> bool:
        return stat.S_ISREG(status.st_mode) and (path.name in known or is_archive(path, status))

    return {stem: recognise(output / name, is_ours) for stem, name in archives.items()}


def _packed(steps: Iterable[Step]) -> dict[str, str]:
    """The names of the archives that are to be packed, by stem."""
    return {step.stem: str(step.record["archive_name"]) for step in steps if not step.keep}


def _steps(
    store: Store, members: Sequence[Member], output: Path, state: State, options: PublishOptions, target: str
) -> tuple[Step, ...]:
    names = stems(members)
    listed = {row.get("layer_name"): row for rows in state.listed().values() for row in rows}
    earlier: dict[str, Record] = {}
    for member, stem in zip(members, names, strict=True):
        found = state.record(stem)
        if found is None and member.is_layer:  # a run was killed while it replaced the archive: only the number counts
            found = {key: value for key, value in listed.get(member.name, {}).items() if key not in ARCHIVE_KEYS}
        earlier[stem] = found or {}
    archives = {str(record.get("archive_name")) for record in earlier.values()}
    return plan_archives(
        members,
        target=target,
        infos={
            stem: store.index.info(member.path) if member.path else None
            for member, stem in zip(members, names, strict=True)
        },
        earlier=earlier,
        sizes={name: status.st_size for name in archives if (status := _file(output / name)) is not None},
        options=options,
    )


def _file(path: Path) -> os.stat_result | None:
    status = look(path)
    return status if status is not None and stat.S_ISREG(status.st_mode) else None


def _published(steps: Sequence[Step], state: State, options: PublishOptions) -> Published:
    records = [(step.member.kind, step.record) for step in steps]
    return Published(steps=tuple(steps), document=combined(records, state.listed() if options.partial else {}))


def _size(store: Store, step: Step) -> int:
    info = store.index.info(step.member.path) if step.member.path else None
    return info.size_bytes if info else 0
