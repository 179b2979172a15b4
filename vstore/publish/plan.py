"""What publishing has to do: pure, from the members, what earlier runs recorded, and the files that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vstore.archive import Compression
from vstore.errors import UsageError
from vstore.objects import Kind, ObjectInfo
from vstore.publish.model import Member, Record, own, placed_record
from vstore.values import frozen

ARCHIVE_KEYS = ("archive_size", "archive_hashes")  # what only packing tells


@frozen
class PublishOptions:
    """`level` None is the format's usual one; `partial`: the members are not the whole stack; `bytecode`: with it."""

    compression: Compression = Compression.ZST
    level: int | None = None
    tag_outputs: bool = False
    force: bool = False
    partial: bool = False
    bytecode: bool = True


class Step(NamedTuple):
    """One archive: its member and its record, which lacks what only packing tells unless the archive is kept."""

    member: Member
    stem: str  # of its metadata file
    record: Record
    keep: bool


def plan_archives(
    members: Sequence[Member],
    *,
    target: str,
    infos: Mapping[str, ObjectInfo | None],
    earlier: Mapping[str, Record],
    sizes: Mapping[str, int],
    options: PublishOptions,
) -> tuple[Step, ...]:
    """A step for each member, in their order.

    `infos` are by stem what the store knows of the objects, `earlier` by stem what was recorded before, `sizes` the
    lengths of the files that are in the output folder. UsageError when two archives would have one name.
    """
    folders = {one.name: str(one.path) if one.path else None for one in members if one.is_layer}
    steps = []
    for member, stem in zip(members, stems(members), strict=True):
        before = earlier.get(stem, {})
        record = _record(member, stem, target, infos[stem], folders, before, options)
        keep = not options.force and _is_there(record, before, sizes)
        if keep:
            record |= {key: before[key] for key in ARCHIVE_KEYS}
            record["vstore"] = {**own(before), **own(record)}
        steps.append(Step(member, stem, record, keep))
    return tuple(steps)


def stems(members: Sequence[Member]) -> list[str]:
    """What each member's files are called: like it, but for an interpreter that a layer is called like."""
    layers = {member.deployed for member in members if member.is_layer}
    found = [
        f"{member.deployed}-interpreter"
        if member.kind == Kind.INTERPRETER and member.deployed in layers
        else member.deployed
        for member in members
    ]
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise UsageError(f"two archives would be called {twice[0]}", hint="rename the layer or the profile")
    return found


def _record(
    member: Member,
    stem: str,
    target: str,
    info: ObjectInfo | None,
    folders: Mapping[str, str | None],
    before: Record,
    options: PublishOptions,
) -> Record:
    build = _build(member, before)
    tag = f"-{target}-{build}" if options.tag_outputs else ""
    return {
        **placed_record(member, folders),
        "install_target": str(member.path) if member.path else None,
        "target_platform": target,
        "archive_build": build,
        "archive_name": f"{stem}{tag}{options.compression.suffix}",
        "vstore": {
            "store_path": str(member.path) if member.path else None,
            "digest": str(info.digest) if info else None,
            "kind": str(member.kind),
            "name": member.deployed,
            "references": [str(path) for path in info.references] if info else [],
            "compression": str(options.compression),
            "level": options.compression.default_level if options.level is None else options.level,
            "bytecode": options.bytecode,
        },
    }


def _build(member: Member, before: Record) -> int:
    """1, 2, …: how often the layer has changed within one lock version, as far as this folder knows."""
    number = before.get("archive_build")
    if not isinstance(number, int) or before.get("lock_version") != member.facts.get("lock_version"):
        return 1
    same = member.path is not None and own(before).get("store_path") == str(member.path)
    return number if same else number + 1


def _is_there(record: Record, before: Record, sizes: Mapping[str, int]) -> bool:
    """Whether the archive that was recorded is the one wanted now, and lies there in full length."""
    ours, theirs = own(record), own(before)
    same = all(ours[key] == theirs.get(key) for key in ("store_path", "digest", "compression", "level", "bytecode"))
    named = record["archive_name"] == before.get("archive_name")
    known = isinstance(before.get("archive_hashes"), dict) and isinstance(before.get("archive_size"), int)
    there = sizes.get(str(record["archive_name"])) == before.get("archive_size")
    return ours["store_path"] is not None and same and named and known and there
