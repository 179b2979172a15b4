"""Keys, signatures, and whom to believe (Ed25519, RFC 8032).

A public key is the text ``name:base64`` as in Nix; a secret one the same with the 32 bytes of the seed.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Self, TypeVar

from vstore.errors import UsageError
from vstore.fs.place import create_file, real_folder, recognise
from vstore.fs.reading import read_regular
from vstore.remote.records.model import Channel, DeltaRecord, ObjectRecord, Realisation, Signature
from vstore.values import frozen

R = TypeVar("R", Realisation, ObjectRecord, Channel, DeltaRecord)
_MAX_BYTES = 1 << 16
_KEY = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,99}):([A-Za-z0-9+/]{43}=)")


@frozen(kw_only=False)
class Key:
    """A named public key."""

    name: str
    raw: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``name:base64``. UsageError if it is not one."""
        found = _KEY.fullmatch(text.strip())
        if not found:
            name = text.partition(":")[0].strip()[:40] if ":" in text else "…"  # the rest may be a secret
            raise UsageError(f"not a key: {name!r}", hint="a key is written name:base64, 44 characters")
        return cls(found[1], base64.b64decode(found[2]))

    def __str__(self) -> str:
        return f"{self.name}:{base64.b64encode(self.raw).decode()}"

    def verifies(self, line: bytes, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, line)
        except (InvalidSignature, ValueError):
            return False
        return True


@frozen(kw_only=False)
class SecretKey:
    """A named secret key; never printed."""

    name: str
    seed: bytes

    def __repr__(self) -> str:
        return f"SecretKey({self.name!r})"

    @classmethod
    def generate(cls, name: str) -> Self:
        Key.parse(f"{name}:{base64.b64encode(bytes(32)).decode()}")  # the name must be one
        return cls(name, os.urandom(32))

    @classmethod
    def read(cls, file: Path) -> Self:
        if file.suffix == ".public":  # it would sign, with a secret that all know
            raise UsageError(f"the public half of a key: {file}", hint="give the secret half, NAME.secret")
        try:
            key = Key.parse(read_regular(file, limit=_MAX_BYTES).decode("ascii"))
        except FileNotFoundError as error:
            raise UsageError(f"no such key: {file}", hint="`vstore key generate NAME` makes one") from error
        except (UsageError, UnicodeDecodeError):
            raise UsageError(f"not a secret key: {file}") from None  # and not a word of its content
        except OSError as error:
            raise UsageError(f"key cannot be read: {file}: {error.strerror}") from error
        return cls(key.name, key.raw)

    def text(self) -> str:
        return f"{Key(self.name, self.seed)}\n"

    @property
    def public(self) -> Key:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Key(self.name, Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw())

    def sign(self, line: bytes) -> Signature:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Signature(self.name, Ed25519PrivateKey.from_private_bytes(self.seed).sign(line))


@frozen
class Trust:
    """Whom to believe: these keys, and how many of them must have signed one line."""

    keys: tuple[Key, ...] = ()
    require: int = 1

    def signers(self, line: bytes, signatures: Iterable[Signature]) -> set[bytes]:
        """The trusted keys that signed this line. By their bytes: one key under two names counts once."""
        by_name: dict[str, list[Key]] = {}
        for key in self.keys:
            by_name.setdefault(key.name, []).append(key)
        return {
            key.raw
            for signature in signatures
            for key in by_name.get(signature.key, ())
            if key.verifies(line, signature.value)
        }

    def standing(self, line: bytes, signatures: Iterable[Signature]) -> tuple[Signature, ...]:
        """The signatures that are not known to be wrong: of one by an unknown key nothing is known."""
        known = {key.name for key in self.keys}
        return tuple(one for one in signatures if one.key not in known or self.signers(line, (one,)))

    def refusal(self, line: bytes, signatures: tuple[Signature, ...], *, require: int | None = None) -> str | None:
        """Why this line is not to be believed; None when it is. As many must have signed as are required."""
        require = self.require if require is None else require
        if not signatures:
            return "it is not signed"
        count = len(self.signers(line, signatures))
        if count >= require:
            return None
        if count:
            return f"{count} of the {require} builders that must agree have signed it"
        names = ", ".join(signature.key for signature in signatures)
        known = any(key.name == signature.key for key in self.keys for signature in signatures)
        return f"the signature of {names} is wrong" if known else f"it is signed by {names}, which is not trusted"


NOBODY = Trust()


def sign(record: R, keys: Iterable[SecretKey]) -> R:
    """The record with the signatures of these keys on its line, beside those that it has."""
    return record.signed(*(key.sign(record.line) for key in keys))


def write_key(folder: Path, key: SecretKey) -> tuple[Path, Path]:
    """Keep a new key pair in a folder: the secret file readable by its owner only.

    Raises UsageError if something is there under one of the two names already.
    """
    real_folder(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret, public = folder / f"{key.name}.secret", folder / f"{key.name}.public"
    for file in (secret, public):
        recognise(file, lambda _, __: False)
    create_file(secret, key.text().encode(), mode=0o600)
    create_file(public, f"{key.public}\n".encode())
    return secret, public


def signing_keys(folder: Path) -> tuple[SecretKey, ...]:
    """The keys in a folder, by name."""
    return tuple(SecretKey.read(file) for file in sorted(folder.glob("*.secret")))
