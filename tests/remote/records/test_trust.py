"""Keys and signatures: who is believed, and how many must agree."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from vstore.digest import Digest
from vstore.errors import UsageError
from vstore.objects import StorePath
from vstore.remote.records.model import Realisation, Signature
from vstore.remote.records.trust import Key, SecretKey, Trust, signing_keys, write_key

A, B = SecretKey("a", b"a" * 32), SecretKey("b", b"b" * 32)
RECORD = Realisation(
    recipe=Digest(bytes(32)), path=StorePath.make(Digest(bytes(32)), "x"), digest=Digest(bytes(32)), size_bytes=0
)
LINE = RECORD.fingerprint


def rejection(trust: Trust, signatures: tuple[Signature, ...], *, require: int | None = None) -> str | None:
    return trust.rejection(replace(RECORD, signatures=signatures), require=require)


def test_keys_survive_their_text_and_keep_their_secret(tmp_path: Path) -> None:
    secret, public = write_key(tmp_path / "keys", A)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert signing_keys(tmp_path / "keys") == (A,)
    assert Key.parse(public.read_text()) == A.public
    assert "YWFh" not in repr(A)
    with pytest.raises(UsageError, match="there is a key a already"):
        write_key(tmp_path / "keys", A)


def test_a_known_vector() -> None:
    """RFC 8032, 7.1, test 1."""
    key = SecretKey("rfc", bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    assert key.public.raw.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign(b"").value.hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e0652249015")


@pytest.mark.parametrize("text", ["", "a", "a:b", "a:" + "A" * 44, ":" + "A" * 43 + "=", "a b:" + "A" * 43 + "="])
def test_what_is_not_a_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a key"):
        Key.parse(text)


def test_a_damaged_secret_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("name:topsecret")
    with pytest.raises(UsageError) as error:
        SecretKey.read(tmp_path / "k")
    assert "topsecret" not in str(error.value)


def test_the_public_half_of_a_key_signs_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.public").write_text(f"{A.public}\n")
    with pytest.raises(UsageError, match="its public half"):
        SecretKey.read(tmp_path / "a.public")


def test_only_a_trusted_key_counts() -> None:
    trust = Trust(keys=(A.public,))
    assert rejection(trust, (A.sign(LINE),)) is None
    assert rejection(trust, (B.sign(LINE), A.sign(LINE))) is None
    assert rejection(trust, ()) == "it is not signed"
    assert rejection(trust, (B.sign(LINE),)) == "it is signed by b, which is not trusted"
    assert rejection(trust, (A.sign(b"other"),)) == "the signature of a is wrong"
    assert rejection(trust, (Signature("a", B.sign(LINE).value),)) == "the signature of a is wrong"
    assert rejection(trust, (Signature("a", b"short"),)) == "the signature of a is wrong"


def test_k_of_n_counts_keys_and_not_names() -> None:
    trust = Trust(keys=(A.public, B.public, Key("alias", A.public.raw)), require=2)
    both = (A.sign(LINE), B.sign(LINE))
    assert rejection(trust, both, require=2) is None
    twice = (A.sign(LINE), Signature("alias", A.sign(LINE).value))
    assert rejection(trust, twice, require=2) == "1 of the 2 required keys have signed it"


def test_rotation_is_a_second_key_and_revocation_is_removing_one() -> None:
    old, new = SecretKey("ci-1", b"1" * 32), SecretKey("ci-2", b"2" * 32)
    signed = (old.sign(LINE), new.sign(LINE))
    assert rejection(Trust(keys=(old.public,)), signed) is None
    assert rejection(Trust(keys=(new.public,)), signed) is None
    assert rejection(Trust(keys=(new.public,)), signed[:1]) is not None
