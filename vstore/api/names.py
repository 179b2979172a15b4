"""The names that begin with a text, with what each is: for completion in a shell. They are found in milliseconds.

Example::

    from vstore.api import names, stores

    with stores.open_store(read_only=True) as store:
        for found in names.profiles(store, "skl"):
            print(found.text, found.meaning)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vstore import profile as stacks
from vstore.fs.reading import read_regular
from vstore.objects import Kind
from vstore.store import Generation, Store
from vstore.toml import TomlError, parse_toml, tables

__all__ = ["Name", "applications", "caches", "channels", "generations", "profiles", "roots", "spec_layers", "what"]

_MOST = 500  # objects; a part of them would be completed to a start that others do not have
_MAX_BYTES = 4 << 20
_PREFIXES = {"runtimes": "", "frameworks": "framework-", "applications": "app-"}


class Name(NamedTuple):
    """A name, and what it is, in a few words."""

    text: str
    meaning: str = ""


def profiles(store: Store, text: str = "") -> list[Name]:
    """Return the profiles."""
    found = (store.generations.of(name) for name in stacks.names(store) if name.startswith(text))
    return [Name(known[0].profile, f"profile, {len(known)} generations") for known in found if known]


def generations(store: Store, profile: str) -> list[Name]:
    """Return the numbers of the generations of a profile, none if there is no such profile."""
    return [Name(str(one.number), _described(one)) for one in reversed(store.generations.of(profile))]


def applications(store: Store, profile: str) -> list[Name]:
    """Return the applications of the current generation of a profile."""
    found = stacks.current(store, profile)
    layers = _layers(store, found) if found else []
    return [Name(one.removeprefix("app-"), "application") for one, kind in layers if kind == Kind.APPLICATION]


def what(store: Store, text: str) -> list[Name]:
    """Return the texts of the grammar WHAT that begin with a text.

    Objects are among them if the text is not empty and few enough begin with it.
    """
    head, slash, _ = text.partition("/")
    profile, at, number = head.rpartition("@")
    known = stacks.names(store)
    if slash and (named := head if head in known else profile if profile in known else None):
        return list(_within(store, named, number if named == profile else "", head))
    if at and profile in known and head not in known:
        return [Name(f"{profile}@{one.text}", one.meaning) for one in generations(store, profile)]
    found = profiles(store, text)
    if text in known:
        found += [Name(f"{text}@{one.text}", one.meaning) for one in generations(store, text)]
        found += _within(store, text, "", text)
    return [*found, *(Name(one, "object") for one in store.objects.beginning_with(text, _MOST) if text and not slash)]


def roots(store: Store) -> list[Name]:
    """Return the names of the roots inside the store."""
    with store.layout.opened(store.layout.gcroots) as folder:
        return [Name(name, "root") for name in folder.names() if name not in ("auto", "temp") and name[0] != "."]


def caches(store: Store) -> list[Name]:
    """Return the caches of ``config.toml``. Raises UsageError if it is malformed."""
    from vstore.credentials import public_url

    return [Name(one.name, public_url(one.url)) for one in store.config.caches]


def channels(store: Store) -> list[Name]:
    """Return the channels that were pulled to this store."""
    import json

    found = {}
    for file in sorted(store.layout.channels.glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            seen = json.loads(read_regular(file, limit=_MAX_BYTES))
            found[str(seen["channel"])] = Name(str(seen["channel"]), f"channel, number {int(seen['number'])}")
    return list(found.values())


def spec_layers(file: Path) -> list[Name]:
    """Return the layers of a spec, none if it cannot be read. Other mistakes in it do not matter."""
    try:
        document = parse_toml(read_regular(file, limit=_MAX_BYTES))
    except (OSError, TomlError):
        return []
    return [
        Name(f"{prefix}{table['name']}", array.removesuffix("s"))
        for array, prefix in _PREFIXES.items()
        for table in tables(document, array)
        if isinstance(table.get("name"), str)
    ]


def _within(store: Store, profile: str, number: str, head: str) -> Iterator[Name]:
    """Yield the layers of a generation, of the current one if `number` is empty."""
    for one in store.generations.of(profile):
        if one.current if not number else str(one.number) == number:
            yield from (Name(f"{head}/{name}", kind) for name, kind in _layers(store, one))


def _layers(store: Store, generation: Generation) -> Iterable[tuple[str, Kind]]:
    return [(one.name, one.kind) for one in stacks.read_stack(store.layout.object(generation.path)).layers]


def _described(one: Generation) -> str:
    return f"{one.created_at:%Y-%m-%d %H:%M}{', current' if one.current else ''}"
