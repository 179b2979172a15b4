"""Plans of archives: those to write and those to keep, decided without a disk."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from vstore.archive import Compression
from vstore.digest import Digest
from vstore.errors import UsageError
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.publish.archive_plan import ArchiveOptions, EarlierArchive, archive_labels, plan_archives
from vstore.publish.members import Member
from vstore.publish.output import OutputItem
from vstore.publish.records import MemberRecord, all_records, combine, own_fields, parse_record

OPTIONS = ArchiveOptions()


def path(name: str, number: int = 1) -> StorePath:
    return StorePath.make(Digest(bytes([number]) * 32), name)


def member(
    name: str = "app-x", kind: Kind = Kind.APPLICATION, number: int = 1, fields: MemberRecord | None = None
) -> Member:
    record: MemberRecord = {"lock_version": 1, **(fields or {})}
    return Member(name=name, kind=kind, path=path(name, number), deployed_name=name, fields=record)


def info(one: Member) -> ObjectInfo:
    assert one.path is not None
    return ObjectInfo(
        path=one.path,
        digest=Digest(bytes(32)),
        kind=one.kind,
        size_bytes=1,
        files=1,
        references=(),
        recipe=None,
        registered_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def plan(
    one: Member, before: MemberRecord | None = None, size: int | None = 7, options: ArchiveOptions = OPTIONS
) -> tuple[OutputItem, MemberRecord]:
    (item,) = plan_archives(
        [one],
        target="linux_x86_64",
        infos={one.path: info(one)} if one.path else {},
        earlier={one.deployed_name: EarlierArchive(before, size)} if before else {},
        options=options,
    )
    assert item.record is not None
    return item, item.record


def packed(one: Member, options: ArchiveOptions = OPTIONS) -> MemberRecord:
    """The record of a run that packed it to 7 bytes."""
    _, record = plan(one, options=options)
    record |= {"archive_size": 7, "archive_hashes": {"sha256": "ab"}}
    own_fields(record)["index_digest"] = "cd"
    return record


def test_what_is_there_and_unchanged_is_kept_with_all_that_packing_told() -> None:
    before = packed(member())
    item, record = plan(member(), before)
    assert item.unchanged and record == before


def test_a_relocked_layer_with_the_same_bytes_keeps_its_archive_and_gets_the_new_facts() -> None:
    later, sooner = member(fields={"locked_at": "later"}), member(fields={"locked_at": "sooner"})
    item, record = plan(later, packed(sooner))
    assert item.unchanged and record["locked_at"] == "later" and record["archive_size"] == 7


@pytest.mark.parametrize(
    ("one", "size", "options"),
    [
        (member(number=2), 7, OPTIONS),
        (member(), 6, OPTIONS),
        (member(), None, OPTIONS),
        (member(), 7, replace(OPTIONS, force=True)),
        (member(), 7, replace(OPTIONS, level=9)),
        (member(), 7, replace(OPTIONS, compression=Compression.XZ)),
        (member(), 7, replace(OPTIONS, tag_outputs=True)),
        (replace(member(), path=None), 7, OPTIONS),
    ],
    ids=["other object", "other length", "no file", "forced", "other level", "other format", "other name", "not built"],
)
def test_anything_else_is_packed(one: Member, size: int | None, options: ArchiveOptions) -> None:
    item, record = plan(one, packed(member()), size, options)
    assert not item.unchanged and "archive_hashes" not in record


def test_a_malformed_earlier_record_is_no_reason_to_keep() -> None:
    good = packed(member())
    for key, value in (("archive_hashes", "x"), ("archive_size", "7"), ("vstore", []), ("archive_build", None)):
        item, _ = plan(member(), parse_record({**good, key: value}))
        assert item.unchanged == (key == "archive_build")


@pytest.mark.parametrize("document", [[], "x", {}, {"layer_name": ["x"]}, {"layer_name": 1, "vstore": {}}])
def test_what_is_not_a_record_is_not_read(document: object) -> None:
    assert parse_record(document) is None


def test_builds_are_counted_within_a_lock_version() -> None:
    tagged = replace(OPTIONS, tag_outputs=True)
    first = packed(member(), tagged)
    assert first["archive_name"] == "app-x-linux_x86_64-1.tar.zst"
    _, second = plan(member(number=2), first, options=tagged)
    assert second["archive_build"] == 2 and second["archive_name"] == "app-x-linux_x86_64-2.tar.zst"
    assert plan(member(), first, options=replace(tagged, force=True))[1]["archive_build"] == 1
    relocked = member(number=2, fields={"lock_version": 2})
    assert plan(relocked, first, options=tagged)[1]["archive_build"] == 1


def test_an_interpreter_gives_way_to_a_layer_of_its_name() -> None:
    runtime, interpreter = member("cpython-3.11", Kind.RUNTIME), member("cpython-3.11", Kind.INTERPRETER, 2)
    assert archive_labels([interpreter, runtime]) == ["cpython-3.11-interpreter", "cpython-3.11"]
    with pytest.raises(UsageError, match="two archives would be called demo-stack"):
        archive_labels([member("demo-stack", Kind.RUNTIME), member("demo-stack", Kind.STACK, 2)])


def test_the_combined_manifest_keeps_what_is_not_replaced() -> None:
    old: list[MemberRecord] = [{"layer_name": "app-a", "archive_build": 1}, {"layer_name": "app-b", "archive_build": 1}]
    new: MemberRecord = {"layer_name": "app-b", "archive_build": 2}
    manifest = combine([(Kind.APPLICATION, new)], {Kind.APPLICATION: old})
    assert manifest["layers"]["applications"] == [old[0], new]
    assert len(all_records(manifest)) == 2
