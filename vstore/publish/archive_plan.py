"""The plan of archives: pure, from the members, the records of earlier runs, and the files that are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from vstore.archive import Compression
from vstore.errors import UsageError
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.publish.members import Member
from vstore.publish.output import OutputItem
from vstore.publish.records import MemberRecord, own_fields
from vstore.values import frozen


@frozen
class ArchiveOptions:
    """`level` None is the default of the compression. `tag_outputs` puts the platform and a build number into names.

    `force` packs unchanged archives again. Without `bytecode` compiled files are omitted.
    """

    compression: Compression = Compression.ZST
    level: int | None = None
    tag_outputs: bool = False
    force: bool = False
    bytecode: bool = True


class EarlierArchive(NamedTuple):
    """An archive of an earlier run: its record, and the size in bytes of the file that the record names, if any."""

    record: MemberRecord
    size_bytes: int | None


_NO_ARCHIVE = EarlierArchive({}, None)


def plan_archives(
    members: Sequence[Member],
    *,
    target: str,
    infos: Mapping[StorePath, ObjectInfo],
    earlier: Mapping[str, EarlierArchive],
    options: ArchiveOptions,
) -> tuple[OutputItem, ...]:
    """Return an item for each member, in their order; `earlier` is by label.

    A record lacks the size and the hash of an archive that is still to be packed. Raises UsageError when two archives
    would have one name.
    """
    folders = {one.name: _folder(one) for one in members if one.is_layer}
    items = []
    for member, label in zip(members, archive_labels(members), strict=True):
        before = earlier.get(label, _NO_ARCHIVE)
        info = infos.get(member.path) if member.path else None
        record = member.record(info, _folder(member), folders)
        own = own_fields(record)
        own["compression"] = str(options.compression)
        own["level"] = options.compression.default_level if options.level is None else options.level
        own["bytecode"] = options.bytecode
        build = _build_number(member, before.record)
        tag = f"-{target}-{build}" if options.tag_outputs else ""
        name = f"{label}{tag}{options.compression.suffix}"
        record |= {"target_platform": target, "archive_build": build, "archive_name": name}
        unchanged = not options.force and _is_current(record, before)
        if unchanged:
            record["archive_size"] = before.record["archive_size"]
            record["archive_hashes"] = before.record["archive_hashes"]
            record["vstore"] = {**own_fields(before.record), **own}
        size = info.size_bytes if info else None
        items.append(OutputItem(label, name, member.kind, member.path, size, unchanged, record))
    return tuple(items)


def archive_labels(members: Iterable[Member]) -> list[str]:
    """Return the name of each member's archive without suffixes. Raises UsageError if two are the same.

    It is the member's own, with ``-interpreter`` for an interpreter of the same name as a layer.
    """
    members = list(members)
    layers = {member.deployed_name for member in members if member.is_layer}
    labels = [
        f"{member.deployed_name}-interpreter"
        if member.kind == Kind.INTERPRETER and member.deployed_name in layers
        else member.deployed_name
        for member in members
    ]
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise UsageError(f"two archives would be called {repeated[0]}", hint="rename the layer or the profile")
    return labels


def _folder(member: Member) -> str | None:
    """Return the folder of a member when its archive is unpacked."""
    return str(member.path) if member.path else None


def _build_number(member: Member, before: MemberRecord) -> int:
    """Count the versions of a layer within one version of its lock, as far as this folder knows: 1, 2, …"""
    number = before.get("archive_build")
    if number is None or before.get("lock_version") != member.fields.get("lock_version"):
        return 1
    same = member.path is not None and own_fields(before).get("store_path") == str(member.path)
    return number if same else number + 1


def _is_current(record: MemberRecord, before: EarlierArchive) -> bool:
    """Whether the archive of an earlier run is still right, and the file has its full length."""
    ours, theirs = own_fields(record), own_fields(before.record)
    same = all(ours.get(key) == theirs.get(key) for key in ("store_path", "digest", "compression", "level", "bytecode"))
    named = record["archive_name"] == before.record.get("archive_name")
    size = before.record.get("archive_size")
    complete = "archive_hashes" in before.record and size is not None and size == before.size_bytes
    return ours["store_path"] is not None and same and named and complete
