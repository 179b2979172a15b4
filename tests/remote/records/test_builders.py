"""Who built an object, where and when: told by the builder, signed, and kept from store to cache to store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.testing.world import World
from vstore.digest import hash_bytes
from vstore.objects import Kind, StorePath
from vstore.remote.records.encoding import decode_object, encode
from vstore.remote.records.model import Archive, ObjectRecord
from vstore.remote.records.trust import SecretKey, Signer, Trust
from vstore.values import replace

ONE, TWO = SecretKey("one", b"1" * 32), SecretKey("two", b"2" * 32)
DIGEST = hash_bytes("test", b"object")
RECORD = ObjectRecord(
    path=StorePath.make(DIGEST, "layer"),
    digest=DIGEST,
    kind=Kind.FRAMEWORK,
    size_bytes=5,
    references=(),
    archive=Archive(size_bytes=9, sha256="0" * 64, diff_id="1" * 64, index_digest=DIGEST),
)
BOTH = Trust(keys=(ONE.public, TWO.public), require=2)


def test_builders_with_other_statements_sign_one_record() -> None:
    signed = Signer([TWO]).stating('{"host":"b"}').sign(Signer([ONE]).stating('{"host":"a"}').sign(RECORD))
    assert BOTH.trusts(signed)
    read = decode_object(encode(signed), "record")
    assert read == signed
    assert [(one.key, one.statement) for one in read.signatures] == [("one", '{"host":"a"}'), ("two", '{"host":"b"}')]


@pytest.mark.parametrize("changed", ['{"host":"c"}', "", '{"host":"a"} '])
def test_a_changed_statement_makes_the_signature_wrong(changed: str) -> None:
    signed = Signer([ONE]).stating('{"host":"a"}').sign(RECORD)
    (signature,) = signed.signatures
    forged = replace(signed, signatures=(replace(signature, statement=changed),))
    trust = Trust(keys=(ONE.public,))
    assert trust.trusts(signed) and not trust.trusts(forged)
    assert trust.without_wrong(forged).signatures == ()


def test_a_statement_is_bounded() -> None:
    document = json.loads(encode(Signer([ONE]).stating("x" * 9000).sign(RECORD)))
    with pytest.raises(Exception, match="`statement`: not a text of at most 8192 bytes"):
        decode_object(json.dumps(document).encode(), "record")


@pytest.mark.slow
def test_it_is_kept_from_store_to_cache_to_store(realised: World, tmp_path: Path) -> None:
    """A third store gets it from a second one, which built nothing; verify and reindex keep it."""
    builder = realised.copy(tmp_path / "builder")
    (built,) = builder.json("info", "framework-mid")["builds"]
    assert built["signed_by"] is None and built["lock"].startswith("pylock.framework-mid.toml ")
    assert built["build_seconds"] > 0 and built["host"] and built["vstore"] and built["uv"]
    assert built["recipe"] == builder.json("info", "framework-mid")["recipe"]
    builder.run("key", "generate", "first")
    (trusted,) = (key for key in builder.json("key", "list") if key.startswith("first:"))
    stack = next(one["path"] for one in builder.json("list") if one["kind"] == "stack")
    builder.run("push", f"file://{tmp_path}/cache-1", "project")
    second = World(tmp_path / "second", tmp_path / "second/root")
    second.run("pull", f"file://{tmp_path}/cache-1", stack, "--profile", "project", "--trust", trusted)
    expected = {**built, "signed_by": "first"}
    assert second.json("info", "framework-mid")["builds"] == [expected]
    second.run("key", "generate", "second")
    second.run("push", f"file://{tmp_path}/cache-2", "project")
    third = World(tmp_path / "third", tmp_path / "third/root")
    third.run("pull", f"file://{tmp_path}/cache-2", stack, "--trust", trusted)
    assert third.json("info", "framework-mid")["builds"] == [expected]
    third.run("reindex")
    assert third.json("verify", "--contents")["problems"] == []
    assert third.json("info", "framework-mid")["builds"] == [expected]
    for path in ("interpreter", "stack"):
        one = next(one["path"] for one in builder.json("list") if one["kind"] == path)
        assert len(builder.json("info", one)["builds"]) == (path == "interpreter")


@pytest.mark.slow
def test_what_no_trusted_key_signed_is_not_kept(realised: World, tmp_path: Path) -> None:
    builder = realised.copy(tmp_path / "builder")
    builder.run("key", "generate", "first")
    stack = next(one["path"] for one in builder.json("list") if one["kind"] == "stack")
    builder.run("push", f"file://{tmp_path}/cache", "project")
    other = World(tmp_path / "other", tmp_path / "other/root")
    other.run("pull", f"file://{tmp_path}/cache", stack)
    assert other.json("info", "framework-mid")["builds"] == []
