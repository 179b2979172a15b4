"""Keys, signatures and trust (Ed25519, RFC 8032).

A public key is written ``name:base64`` as in Nix; a secret key in the same way, with the 32 bytes of the seed.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Self

from vstore.config.kinds import PUBLIC_KEY
from vstore.errors import UsageError
from vstore.fs.place import create_file, real_folder
from vstore.fs.reading import read_regular
from vstore.remote.records.model import R, Record, Signature, add_signatures, signed_line
from vstore.values import frozen

_MAX_BYTES = 1 << 16


@frozen(kw_only=False)
class Key:
    """A named public key."""

    name: str
    raw: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``name:base64``. Raises UsageError, without the part that may be a secret."""
        found = re.fullmatch(PUBLIC_KEY, text.strip())
        if not found:
            name = text.partition(":")[0].strip()[:40] if ":" in text else "…"
            raise UsageError(f"not a key: {name!r}", hint="a key is written name:base64, 44 characters")
        return cls(found[1], base64.b64decode(found[2]))

    def __str__(self) -> str:
        return f"{self.name}:{base64.b64encode(self.raw).decode()}"

    def verifies(self, fingerprint: bytes, signature: bytes) -> bool:
        """Return whether this key made the signature."""
        from nacl.exceptions import BadSignatureError
        from nacl.signing import VerifyKey

        try:
            VerifyKey(self.raw).verify(fingerprint, signature)
        except (BadSignatureError, ValueError):
            return False
        return True


@frozen(kw_only=False)
class SecretKey:
    """A named secret key. Its representation hides the seed."""

    name: str
    seed: bytes

    def __repr__(self) -> str:
        return f"SecretKey({self.name!r})"

    @classmethod
    def generate(cls, name: str) -> Self:
        """Return a new random key. Raises UsageError for a malformed name."""
        Key.parse(f"{name}:{base64.b64encode(bytes(32)).decode()}")
        return cls(name, os.urandom(32))

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a key file. Raises UsageError, without any of the file's content."""
        if file.suffix == ".public":  # it would sign, with a secret that everybody knows
            raise UsageError(f"not a secret key but its public half: {file}", hint="give the file NAME.secret")
        try:
            key = Key.parse(read_regular(file, limit=_MAX_BYTES).decode("ascii"))
        except FileNotFoundError as error:
            raise UsageError(f"no such key: {file}", hint="`vstore key generate NAME` makes one") from error
        except (UsageError, UnicodeDecodeError):
            raise UsageError(f"not a secret key: {file}", hint="`vstore key generate NAME` makes one") from None
        except OSError as error:
            raise UsageError(f"key cannot be read: {file}: {error.strerror}") from error
        return cls(key.name, key.raw)

    def text(self) -> str:
        """Return the content of the key file."""
        return f"{Key(self.name, self.seed)}\n"

    @property
    def public(self) -> Key:
        """The public half."""
        from nacl.signing import SigningKey

        return Key(self.name, bytes(SigningKey(self.seed).verify_key))

    def sign(self, fingerprint: bytes) -> Signature:
        """Return this key's signature."""
        from nacl.signing import SigningKey

        return Signature(self.name, SigningKey(self.seed).sign(fingerprint).signature)


@frozen
class Trust:
    """The trusted keys, and how many of them must have signed a record."""

    keys: tuple[Key, ...] = ()
    require: int = 1

    def signers(self, record: Record) -> set[bytes]:
        """Return the trusted keys that signed a record, as raw bytes: one key under two names counts once."""
        return {
            key.raw
            for signature in record.signatures
            for key in self.keys
            if key.name == signature.key
            and key.verifies(signed_line(record.fingerprint, signature.statement), signature.value)
        }

    def without_wrong(self, record: R) -> R:
        """Return the record without signatures that are known to be wrong. Signatures of unknown keys stay."""
        known = {key.name for key in self.keys}
        kept = [
            one for one in record.signatures if one.key not in known or self.signers(replace(record, signatures=(one,)))
        ]
        return replace(record, signatures=tuple(kept))

    def rejection(self, record: Record, *, require: int | None = None) -> str | None:
        """Return why a record is not trusted, None if it is. `require` replaces the number of signatures."""
        require = self.require if require is None else require
        if not record.signatures:
            return "it is not signed"
        count = len(self.signers(record))
        if count >= require:
            return None
        if count:
            return f"{count} of the {require} required keys have signed it"
        names = ", ".join(signature.key for signature in record.signatures)
        known = any(key.name == signature.key for key in self.keys for signature in record.signatures)
        return f"the signature of {names} is wrong" if known else f"it is signed by {names}, which is not trusted"

    def trusts(self, record: Record) -> bool:
        """Return whether enough trusted keys have signed a record."""
        return self.rejection(record) is None


NO_TRUST = Trust()


def sign(record: R, keys: Iterable[SecretKey], statement: str = "") -> R:
    """Return the record with the signatures of these keys, beside those that it has. They sign the statement too."""
    line = signed_line(record.fingerprint, statement)
    return add_signatures(record, *(replace(key.sign(line), statement=statement) for key in keys))


class Signer:
    """The secret keys that sign records, and the public keys that distinguish a wrong signature from an unknown one.

    With a `statement` of how an object was built, the keys sign that with its record.
    """

    def __init__(self, keys: Iterable[SecretKey], trust: Trust = NO_TRUST) -> None:
        self.keys = tuple(keys)
        self.statement = ""
        public = tuple(key.public for key in self.keys)
        self.own = Trust(keys=public, require=len({key.raw for key in public}))
        known = tuple(dict.fromkeys((*public, *trust.keys)))  # each once, as each is tried
        self.known = Trust(keys=known, require=len({key.raw for key in known}))

    def stating(self, statement: str) -> Self:
        """Return a signer with the same keys and this statement."""
        signer = copy(self)
        signer.statement = statement
        return signer

    def sign(self, record: R) -> R:
        """Return the record with the signatures of all keys, beside those that it has."""
        return sign(record, self.keys, self.statement)

    def sign_with(self, key: SecretKey | None, record: R) -> R:
        """Return the record with the signature of one of the keys, or as it is."""
        return sign(record, (key,), self.statement) if key else record

    def sound(self, record: R | None) -> R | None:
        """Return the record without wrong signatures; None if no known key has signed it."""
        if record is None or not self.known.signers(record):
            return None
        return self.known.without_wrong(record)

    def has_signed(self, record: Record) -> bool:
        """Return whether all keys have signed the record."""
        return len(self.own.signers(record)) == self.own.require


def write_key(folder: Path, key: SecretKey) -> tuple[Path, Path]:
    """Write a key pair to a folder; return the secret file, which only its owner can read, and the public file.

    Raises UsageError if a file of one of the two names exists.
    """
    real_folder(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret, public = folder / f"{key.name}.secret", folder / f"{key.name}.public"
    for file in (secret, public):
        if os.path.lexists(file):
            hint = "a key is never replaced: choose another name; `vstore key list` shows the keys"
            raise UsageError(f"there is a key {key.name} already: {file}", hint=hint)
    create_file(secret, key.text().encode(), mode=0o600)
    create_file(public, f"{key.public}\n".encode())
    return secret, public


def signing_keys(folder: Path) -> tuple[SecretKey, ...]:
    """Return the secret keys in a folder, by name."""
    return tuple(SecretKey.read(file) for file in sorted(folder.glob("*.secret")))
