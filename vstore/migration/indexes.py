"""Package indexes of other tools, as uv's settings without logins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from vstore.credentials import has_credentials, without_login
from vstore.migration.model import LeftOut
from vstore.values import frozen

PYPI = "https://pypi.org/simple"


@frozen
class Index:
    """A package index. Only packages that name an `explicit` one are taken from it."""

    name: str
    url: str
    default: bool = False
    explicit: bool = False


def with_more(settings: Mapping[str, object], key: str, more: Iterable[object]) -> dict[str, object]:
    """Return settings of uv with more items in the array of a key."""
    known = settings.get(key)
    return {**settings, key: [*(known if isinstance(known, list) else []), *more]}


def without_logins(settings: Mapping[str, object]) -> tuple[dict[str, object], list[LeftOut]]:
    """Return settings of uv without the logins in their URLs, and a note for each."""
    notes: dict[LeftOut, None] = {}
    return {key: _without_logins(value, key, notes) for key, value in settings.items()}, list(notes)


def _without_logins(value: object, key: str, notes: dict[LeftOut, None]) -> object:
    if isinstance(value, dict):
        return {name: _without_logins(one, key, notes) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_logins(one, key, notes) for one in value]
    if not isinstance(value, str) or not has_credentials(value):
        return value
    plain = without_login(value)
    notes[LeftOut(subject=f"login of {key} ({plain})", reason="write it to ~/.netrc, or use a keyring")] = None
    return plain


class IndexSettings:
    """Collects indexes and other settings for resolving."""

    def __init__(self) -> None:
        self.left_out: list[LeftOut] = []
        self._indexes: dict[str, Index] = {}
        self._sources: dict[str, str] = {}
        self._others: dict[str, object] = {}
        self._merged = False

    def add(self, url: str, *, name: str | None = None, default: bool = False, explicit: bool = False) -> str:
        """Add an index and return its name. A login in its URL is left out."""
        plain = without_login(url)
        if known := self._known(plain):
            return known.name
        base = re.sub(r"[^a-z0-9]+", "-", (name or urlsplit(plain).hostname or "").lower()).strip("-") or "index"
        name, number = base, 2
        while name in self._indexes:
            name, number = f"{base}-{number}", number + 1
        self._indexes[name] = Index(name=name, url=plain, default=default, explicit=explicit)
        if has_credentials(url):
            variable = f"UV_INDEX_{name.upper().replace('-', '_')}"
            reason = f"set {variable}_USERNAME and {variable}_PASSWORD, or use ~/.netrc or a keyring"
            self.left_out.append(LeftOut(subject=f"login of the index {name} ({plain})", reason=reason))
        return name

    def offers_all(self, url: str) -> bool:
        """Return whether an index of this URL was added that is asked for packages which do not name it."""
        known = self._known(without_login(url))
        return known is not None and not known.explicit

    def _known(self, plain: str) -> Index | None:
        return next((one for one in self._indexes.values() if one.url.rstrip("/") == plain.rstrip("/")), None)

    def take_from(self, package: str, index: str) -> None:
        """Take a package from one index only."""
        self._sources[package] = index

    def add_option(self, name: str, value: str) -> bool:
        """Take an option of pip over. Return False if it is none of a package index."""
        if name in ("-i", "--index-url"):
            self.add(value, default=True)
        elif name == "--extra-index-url":
            self.add(value)
            self._merged = True
        elif name in ("-f", "--find-links"):
            self._others = with_more(self._others, "find-links", [value])
        elif name == "--trusted-host":
            self._others = with_more(self._others, "allow-insecure-host", [value])
        elif name == "--no-index":
            self._others["no-index"] = True
        elif name == "--pre":
            self._others["prerelease"] = "allow"
        else:
            return False
        return True

    def settings(self) -> dict[str, object]:
        """Return the settings. As pip does, indexes that were added to the main one are asked for all packages."""
        found: dict[str, object] = {}
        indexes = [one for one in self._indexes.values() if not (one.default and one.url.rstrip("/") == PYPI)]
        if indexes:
            found["index"] = [
                {
                    "name": one.name,
                    "url": one.url,
                    **({"default": True} if one.default else {}),
                    **({"explicit": True} if one.explicit else {}),
                }
                for one in indexes
            ]
        if self._sources:
            found["sources"] = {package: {"index": index} for package, index in self._sources.items()}
        if self._merged:
            found["index-strategy"] = "unsafe-best-match"
        return {**found, **self._others}
