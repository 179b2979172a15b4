"""Publishing: an archive for each layer, for their interpreter and for the stack, with metadata beside them.

The top folder of an archive is the object's store path, so archives unpacked side by side, by anyone's tar, run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vstore.archive import pack
from vstore.fs.atomic import flush_file, fsync_directory
from vstore.fs.tree import Manifest
from vstore.objects import StorePath
from vstore.publish.filesystem import scratch
from vstore.publish.model import Member, Record, own
from vstore.publish.plan import ARCHIVE_KEYS, PublishOptions, Step, plan_archives, stems
from vstore.publish.state import State, all_records, claimed, combined
from vstore.report import Report, Unit
from vstore.store import Store

_BYTECODE = b"__pycache__"


@dataclass(frozen=True, slots=True, kw_only=True)
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
    state = State(output, target if options.tag_outputs else "")
    steps = _steps(store, members, output, state, options, target)
    return _published(steps, state, options)


def publish(
    store: Store,
    members: Sequence[Member],
    output: Path,
    options: PublishOptions,
    *,
    target: str,
    jobs: int,
    report: Report,
) -> Published:
    """Write the archives that are missing or changed, then the metadata; `jobs` threads compress one archive.

    Whatever the instant of a crash, an archive under its own name is whole, and a record speaks of such a one.
    Raises BusyError while another process publishes there, UsageError, and what `pack` raises.
    """
    with claimed(store, output) as place:
        state = State(place, target if options.tag_outputs else "")
        work = _Publish(store, place, state, options, jobs, report)
        steps = _steps(store, members, place, state, options, target)
        done = [step if step.keep else work.make(step) for step in steps]
        for step in done:
            state.write(step.stem, step.record)
        published = _published(done, state, options)
        state.write_manifest(published.document)
        fsync_directory(place)
        for name in published.outdated:
            report.warn(
                f"{name} in {place} needs objects that are not there any more",
                hint="publish it again, or the whole spec",
            )
        return published


class _Publish:
    """One run into one folder."""

    def __init__(
        self, store: Store, place: Path, state: State, options: PublishOptions, jobs: int, report: Report
    ) -> None:
        self._store = store
        self._place = place
        self._state = state
        self._options = options
        self._jobs = jobs
        self._report = report

    def make(self, step: Step) -> Step:
        """Pack one archive: aside, flushed, then under its name; the record goes before and comes back after."""
        path = step.member.path
        assert path is not None
        started, done, total = time.monotonic(), 0, _size(self._store, step)
        self._report.stage(step.stem, "packing", 0, total, Unit.BYTES)

        def on_bytes(count: int) -> None:
            nonlocal done
            done += count
            self._report.stage(step.stem, "packing", done, total, Unit.BYTES)

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
            os.replace(aside / name, self._place / name)
        record = {**step.record, "archive_size": info.size_bytes, "archive_hashes": {"sha256": info.sha256}}
        index = str(info.index_digest) if info.index_digest else None
        record["vstore"] = {**own(record), "index_digest": index, "content_bytes": info.content_bytes}
        self._state.write(step.stem, record)
        self._report.finished(step.stem, "packed", time.monotonic() - started)
        return step._replace(record=record)

    def _content(self, path: StorePath) -> Manifest:
        manifest = self._store.manifest(path)[0]
        if self._options.bytecode:
            return manifest
        return Manifest(tuple(entry for entry in manifest.entries if _BYTECODE not in entry.path.split(b"/")))


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
        sizes={name: (output / name).stat().st_size for name in archives if (output / name).is_file()},
        options=options,
    )


def _published(steps: Sequence[Step], state: State, options: PublishOptions) -> Published:
    records = [(step.member.kind, step.record) for step in steps]
    return Published(steps=tuple(steps), document=combined(records, state.listed() if options.partial else {}))


def _size(store: Store, step: Step) -> int:
    info = store.index.info(step.member.path) if step.member.path else None
    return info.size_bytes if info else 0
