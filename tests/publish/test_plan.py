"""What is packed and what is kept: decided without a disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from vstore.archive import Compression
from vstore.digest import Digest
from vstore.errors import UsageError
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.publish.model import Member, Record, own
from vstore.publish.output_dir import all_records, combined
from vstore.publish.plan import PublishOptions, Step, plan_archives, stems

OPTIONS = PublishOptions()


def path(name: str, number: int = 1) -> StorePath:
    return StorePath.make(Digest(bytes([number]) * 32), name)


def member(name: str = "app-x", kind: Kind = Kind.APPLICATION, number: int = 1, **facts: object) -> Member:
    facts = {"lock_version": 1, **facts}
    return Member(name=name, kind=kind, path=path(name, number), deployed=name, facts=facts)


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


def plan(one: Member, before: Record | None = None, size: int | None = 7, options: PublishOptions = OPTIONS) -> Step:
    sizes: Mapping[str, int] = {} if before is None or size is None else {str(before["archive_name"]): size}
    (step,) = plan_archives(
        [one],
        target="linux_x86_64",
        infos={one.deployed: info(one)},
        earlier={one.deployed: before} if before else {},
        sizes=sizes,
        options=options,
    )
    return step


def packed(one: Member, options: PublishOptions = OPTIONS) -> Record:
    """The record of a run that packed it to 7 bytes."""
    record = {**plan(one, options=options).record, "archive_size": 7, "archive_hashes": {"sha256": "ab"}}
    record["vstore"] = {**own(record), "index_digest": "cd"}
    return record


def test_what_is_there_and_unchanged_is_kept_with_all_that_packing_told() -> None:
    before = packed(member())
    step = plan(member(), before)
    assert step.keep and step.record == before


def test_a_relocked_layer_with_the_same_bytes_keeps_its_archive_and_gets_the_new_facts() -> None:
    step = plan(member(locked_at="later"), packed(member(locked_at="sooner")))
    assert step.keep and step.record["locked_at"] == "later" and step.record["archive_size"] == 7


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
def test_anything_else_is_packed(one: Member, size: int | None, options: PublishOptions) -> None:
    if one.path is None:
        (step,) = plan_archives(
            [one], target="t", infos={"app-x": None}, earlier={"app-x": packed(member())}, sizes={}, options=options
        )
    else:
        step = plan(one, packed(member()), size, options)
    assert not step.keep and "archive_hashes" not in step.record


def test_a_malformed_earlier_record_is_no_reason_to_keep() -> None:
    good = packed(member())
    for key, value in (("archive_hashes", "x"), ("archive_size", "7"), ("vstore", []), ("archive_build", None)):
        step = plan(member(), {**good, key: value})
        assert step.keep == (key == "archive_build")


def test_builds_are_counted_within_a_lock_version() -> None:
    tagged = replace(OPTIONS, tag_outputs=True)
    first = packed(member(), tagged)
    assert first["archive_name"] == "app-x-linux_x86_64-1.tar.zst"
    second = plan(member(number=2), first, options=tagged).record
    assert second["archive_build"] == 2 and second["archive_name"] == "app-x-linux_x86_64-2.tar.zst"
    assert plan(member(), first, options=replace(tagged, force=True)).record["archive_build"] == 1
    assert plan(member(number=2, lock_version=2), first, options=tagged).record["archive_build"] == 1


def test_an_interpreter_gives_way_to_a_layer_of_its_name() -> None:
    runtime, interpreter = member("cpython-3.11", Kind.RUNTIME), member("cpython-3.11", Kind.INTERPRETER, 2)
    assert stems([interpreter, runtime]) == ["cpython-3.11-interpreter", "cpython-3.11"]
    with pytest.raises(UsageError, match="two archives would be called demo-stack"):
        stems([member("demo-stack", Kind.RUNTIME), member("demo-stack", Kind.STACK, 2)])


def test_the_combined_manifest_keeps_what_is_not_replaced() -> None:
    old = [{"layer_name": "app-a", "n": 1}, {"layer_name": "app-b", "n": 1}]
    document = combined([(Kind.APPLICATION, {"layer_name": "app-b", "n": 2})], {Kind.APPLICATION: old})
    assert document["layers"]["applications"] == [{"layer_name": "app-a", "n": 1}, {"layer_name": "app-b", "n": 2}]
    assert len(all_records(document)) == 2
