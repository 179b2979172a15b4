"""Package indexes of other tools, as uv's settings without logins."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from vstore.credentials import has_credentials, without_login
from vstore.migration.model import LeftOut
from vstore.toml import tables
from vstore.values import frozen

PYPI = "https://pypi.org/simple"


@frozen
class Index:
    """A package index. Only packages that name an `explicit` one are taken from it. `more` are other keys of uv's."""

    name: str
    url: str
    default: bool = False
    explicit: bool = False
    more: Mapping[str, object] = {}

    def table(self) -> dict[str, object]:
        """Return the table of the index in uv's settings."""
        default: dict[str, object] = {"default": True} if self.default else {}
        explicit: dict[str, object] = {"explicit": True} if self.explicit else {}
        return {"name": self.name, "url": self.url, **default, **explicit, **self.more}


def with_more(settings: Mapping[str, object], key: str, more: Iterable[object]) -> dict[str, object]:
    """Return settings of uv with more items in the array of a key."""
    known = settings.get(key)
    return {**settings, key: [*(known if isinstance(known, list) else []), *more]}


def with_folders(settings: Mapping[str, object], change: Callable[[str], str]) -> dict[str, object]:
    """Return settings of uv with each folder of wheels or of an index in them changed."""

    def changed(place: object) -> object:
        return change(place) if isinstance(place, str) and "://" not in place and place[:2] != "//" else place

    links, indexes = settings.get("find-links"), tables(settings, "index")
    return {
        **settings,
        **({"find-links": [changed(one) for one in links]} if isinstance(links, list) else {}),
        **({"index": [{**one, "url": changed(one.get("url"))} for one in indexes]} if indexes else {}),
    }


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
    """Collects indexes and other settings of uv (`others`) for resolving."""

    def __init__(self) -> None:
        self.left_out: list[LeftOut] = []
        self.others: dict[str, object] = {}
        self._indexes: dict[str, Index] = {}
        self._sources: dict[str, str] = {}
        self._names: dict[str, str] = {}  # of indexes, by the names in the source

    def add(
        self,
        url: str,
        *,
        name: str | None = None,
        default: bool = False,
        explicit: bool = False,
        more: Mapping[str, object] | None = None,
    ) -> str:
        """Add an index and return its name. A login in its URL is left out."""
        plain = without_login(url)
        index = self._known(plain)
        if index is None:
            own = self._free_name(name or urlsplit(plain).hostname or "")
            index = Index(name=own, url=plain, default=default, explicit=explicit, more=more or {})
            self._indexes[own] = index
            if has_credentials(url):
                self.note_login(index)
        self._names[(name or index.name).lower()] = index.name
        return index.name

    def add_searched(self, sources: Sequence[tuple[str | None, str]], strategy: str) -> None:
        """Add indexes by name and URL, in the order in which packages are searched in them, and in no other.

        uv searches its default index last. `strategy` is uv's way to choose between several.
        """
        for number, (name, url) in enumerate(sources, 1):
            self.add(url, name=name, default=number == len(sources))
        if len(sources) > 1:
            self.others["index-strategy"] = strategy

    def note_login(self, index: Index) -> None:
        """Note that the login of an index is left out."""
        variable = f"UV_INDEX_{index.name.upper().replace('-', '_')}"
        reason = f"set {variable}_USERNAME and {variable}_PASSWORD, or use ~/.netrc or a keyring"
        self.left_out.append(LeftOut(subject=f"login of the index {index.name} ({index.url})", reason=reason))

    def _free_name(self, text: str) -> str:
        base = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "index"
        name, number = base, 2
        while name in self._indexes:
            name, number = f"{base}-{number}", number + 1
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

    def allow_prereleases(self, package: str) -> None:
        """Allow pre-releases of a package."""
        known = self.others.get("prerelease-package")
        self.others["prerelease-package"] = {**(known if isinstance(known, dict) else {}), package: "allow"}

    def add_option(self, name: str, value: str) -> bool:
        """Take an option of pip over. Return False if it is none of a package index."""
        if name in ("-i", "--index-url"):
            self.add(value, default=True)
        elif name == "--extra-index-url":
            self.add(value)
            self.others["index-strategy"] = "unsafe-best-match"  # as pip does
        elif name in ("-f", "--find-links"):
            self.others = with_more(self.others, "find-links", [value])
        elif name == "--trusted-host":
            self.others = with_more(self.others, "allow-insecure-host", [value])
        elif name == "--no-index":
            self.others["no-index"] = True
        elif name == "--pre":
            self.others["prerelease"] = "allow"
        else:
            return False
        return True

    def settings(self) -> dict[str, object]:
        """Return the settings."""
        found: dict[str, object] = {}
        sources = {package: self._names.get(index.lower(), index) for package, index in self._sources.items()}
        indexes = [
            one
            for one in self._indexes.values()
            if not (one.default and one.url.rstrip("/") == PYPI) or one.name in sources.values()
        ]
        if indexes:
            found["index"] = [one.table() for one in indexes]
        if sources:
            found["sources"] = {package: {"index": index} for package, index in sources.items()}
        return {**found, **self.others}
