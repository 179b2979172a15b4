"""The kinds of values in ``config.toml``: how each is read, described in errors and documents, and in the schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta

_AGES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_OLDEST_SECONDS = 100 * 366 * 86400
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
# with capitals, as a pattern in a JSON schema has no flags
_AGE = r"([0-9]{1,9})\s*([smhdwSMHDW])"
_SIZE = r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([kmgtpKMGTP]?)(?:[iI]?[bB])?"


CACHE_SCHEMES = ("file", "http", "https", "s3", "gs", "az", "oci")  # those of the transports in `remote`
PUBLIC_KEY = r"([A-Za-z0-9][A-Za-z0-9._-]{0,99}):([A-Za-z0-9+/]{43}=)"
_FILE = r"(/|[A-Za-z]:[/\\]).+"
_CACHE = rf"((?:{'|'.join(CACHE_SCHEMES)})://|/|[A-Za-z]:[/\\]).*"


class WrongValueError(ValueError):
    """A value that is not of its kind: what was expected, and a text that stands for a value that may be secret."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(expected)
        self.found = found


def parse_age(text: str) -> timedelta:
    """Parse an age such as ``30d``, ``12h`` or ``2w``. Raises ValueError."""
    found = re.fullmatch(_AGE, text.strip())
    if not found:
        raise ValueError(f"{text!r} is not an age such as 30d, 12h or 2w")
    seconds = int(found[1]) * _AGES[found[2].lower()]
    if seconds > _OLDEST_SECONDS:
        raise ValueError(f"{text!r} is longer ago than a hundred years")
    return timedelta(seconds=seconds)


def parse_size(text: str) -> int:
    """Parse a size such as ``5G`` or ``500MiB`` into bytes. Units are powers of 1024. Raises ValueError."""
    found = re.fullmatch(_SIZE, text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a size such as 500M or 5G")
    return int(float(found[1]) * _SIZES[found[2].lower()])


class ValueKind:
    """A kind of values. `read` returns the value of a TOML value, and raises ValueError with `expected`.

    `schema` describes the TOML values as JSON schema does.
    """

    def __init__(self, expected: str, read: Callable[[object], object], schema: Mapping[str, object]) -> None:
        self.expected = expected
        self.read = read
        self.schema = schema

    @property
    def is_list(self) -> bool:
        """Whether a value has several items."""
        return self.schema.get("type") == "array"


def mapping(value: object) -> Mapping[str, object]:
    """Return a table. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError("a table")
    return value


def text(value: object) -> str:
    """Return a string. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("a string")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("a list of strings")
    return tuple(text(item) for item in value)


def _public_keys(value: object) -> tuple[str, ...]:
    """Return public keys. The error names the first that is none, without the part that may be secret."""
    keys = _texts(value)
    for key in keys:
        if not re.fullmatch(PUBLIC_KEY, key):
            name, colon, _ = key.partition(":")
            raise WrongValueError(PUBLIC_KEYS.expected, repr(f"{name[:40]}:…" if colon else "…"))
    return keys


def cache_url(value: object) -> str:
    """Return the URL of a cache. Raises ValueError, which shows its scheme only, as the rest may have a login."""
    url = text(value)
    if not re.fullmatch(_CACHE, url, re.DOTALL):
        scheme, separator, _ = url.partition("://")
        raise WrongValueError(CACHE_URL.expected, f"{scheme[:20]!r} as its scheme" if separator else "a relative path")
    return url


def _place(value: object) -> str:
    """Return a URL or an absolute path. Raises ValueError, which shows no more than `cache_url` does."""
    try:
        return cache_url(value)
    except WrongValueError as error:
        raise WrongValueError(PLACE.expected, error.found) from error


def _file(value: object) -> str:
    path = text(value)
    if not re.fullmatch(_FILE, path, re.DOTALL):
        raise ValueError(FILE.expected)
    return path


def texts_by_key(value: object) -> Mapping[str, str]:
    """Return a table of strings. Raises ValueError."""
    return {key: text(item) for key, item in mapping(value).items()}


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("a whole number from 1")
    return value


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    try:
        return parse_size(text(value))
    except ValueError as error:
        raise ValueError('a size such as "5G"') from error


def _age(value: object) -> timedelta:
    try:
        return parse_age(text(value))
    except ValueError as error:
        raise ValueError('an age such as "30d"') from error


TEXTS_BY_KEY = ValueKind(
    "a table of strings", texts_by_key, {"type": "object", "additionalProperties": {"type": "string"}}
)
PUBLIC_KEYS = ValueKind(
    "a list of keys, each name:base64 with 44 characters of base64",
    _public_keys,
    {"type": "array", "items": {"type": "string", "pattern": f"^{PUBLIC_KEY}$"}},
)
CACHE_URL = ValueKind(
    f"a URL ({', '.join(f'{scheme}://' for scheme in CACHE_SCHEMES)}) or the absolute path of a folder",
    cache_url,
    {"type": "string", "pattern": f"^{_CACHE}$"},
)
PLACE = ValueKind("a URL or an absolute path", _place, {"type": "string", "pattern": f"^{_CACHE}$"})
FILE = ValueKind("the absolute path of a file", _file, {"type": "string", "pattern": f"^{_FILE}$"})
COUNT = ValueKind("a whole number from 1", _count, {"type": "integer", "minimum": 1})
SIZE = ValueKind(
    'a size such as "5G", or bytes',
    _size,
    {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": rf"^\s*{_SIZE}\s*$"}]},
)
AGE = ValueKind('an age such as "30d"', _age, {"type": "string", "pattern": rf"^\s*{_AGE}\s*$"})
