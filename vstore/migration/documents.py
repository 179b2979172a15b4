"""Reading the files of other tools."""

from __future__ import annotations

from pathlib import Path

from vstore.documents import Fields
from vstore.errors import UsageError
from vstore.fs.reading import read_regular
from vstore.toml import TomlError, parse_toml

_MAX_BYTES = 64 << 20


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file. Raises UsageError if it cannot be read."""
    try:
        return read_regular(path, limit=_MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{path} cannot be read: {reason}", hint="check the path after --from") from error


def read_text(path: Path) -> str:
    """Return the text of a file, which is UTF-8. Raises UsageError."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", hint="check the path after --from") from error


def read_toml(path: Path) -> Fields:
    """Return the document of a TOML file. Raises UsageError."""
    return toml_document(read_bytes(path), path)


def toml_document(data: bytes, path: Path) -> Fields:
    """Return a TOML document that is in a file. Raises UsageError."""
    try:
        return Fields(parse_toml(data))
    except TomlError as error:
        raise UsageError(f"{path} is not valid TOML: {error}", hint="correct it, or check the path") from error
