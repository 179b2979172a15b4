"""The names that begin with a text, with what each is: for completion in a shell. They are found in milliseconds.

Example::

    from vstore.api import names, stores

    with stores.open_store(read_only=True) as store:
        for found in names.profiles(store, "skl"):
            print(found.text, found.meaning)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vstore import profile as stacks
from vstore.credentials import public_url
from vstore.fs.reading import read_regular
from vstore.objects import Kind
from vstore.plural import count
from vstore.store import Generation, Store
from vstore.toml import TomlError, parse_toml, tables

__all__ = [
    "Name",
    "applications",
    "caches",
    "channels",
    "extras",
    "generations",
    "groups",
    "locked_packages",
    "profiles",
    "programs",
    "roots",
    "spec_layers",
    "what",
]

if TYPE_CHECKING:
    from vstore.migration.model import Choice

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
    return [Name(known[0].profile, f"profile, {count(len(known), 'generation')}") for known in found if known]


def generations(store: Store, profile: str) -> list[Name]:
    """Return the numbers of the generations of a profile, none if there is no such profile."""
    return [Name(str(one.number), _described(one)) for one in reversed(store.generations.of(profile))]


def applications(store: Store, what: str) -> list[Name]:
    """Return the applications of PROFILE or PROFILE@N, none if there is no such profile or generation."""
    found = (one for one in _within(store, *_split(store, what)) if one.meaning == Kind.APPLICATION)
    return [Name(one.text.removeprefix("app-"), one.meaning) for one in found]


def what(store: Store, text: str) -> list[Name]:
    """Return the texts of the grammar WHAT that begin with a text.

    Objects are among them if the text is not empty and few enough begin with it.
    """
    head, slash, _ = text.partition("/")
    profile, number = _split(store, head)
    whole = [] if head.endswith("@") else _within(store, profile, number)
    layers = [Name(f"{head}/{one.text}", one.meaning) for one in whole]
    if slash:
        return layers
    numbers = [Name(f"{profile}@{one.text}", one.meaning) for one in generations(store, profile)]
    objects = store.objects.beginning_with(text, _MOST) if text else []
    found = [*profiles(store, text), *numbers, *layers, *(Name(one, "object") for one in objects)]
    return list({one.text: one for one in reversed(found)}.values())[::-1]  # the first of each text


def programs(store: Store, what: str) -> list[Name]:
    """Return the programs of the layer that a text names. Raises as `activation.find_layer` does."""
    from vstore.environments.activation import find_layer

    layer = find_layer(store, what)
    paths = (path for folder in layer.scripts if folder.is_dir() for path in folder.iterdir())
    return [Name(one, layer.name) for one in sorted({path.name for path in paths if os.access(path, os.X_OK)})]


def roots(store: Store) -> list[Name]:
    """Return the names of the roots inside the store."""
    with store.layout.opened(store.layout.gcroots) as folder:
        return [Name(name, "root") for name in folder.names() if name not in ("auto", "temp") and name[0] != "."]


def caches(store: Store) -> list[Name]:
    """Return the caches of ``config.toml``. Raises UsageError if it is malformed."""
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


def locked_packages(spec: Path) -> list[Name]:
    """Return the packages in the locks of a spec. Raises SpecError and LockError."""
    from vstore.lock import Project

    found = {package.name: package.version for one in Project.load(spec).locks for package in one.packages}
    return [Name(name, str(version)) for name, version in sorted(found.items())]


def extras(project: Path) -> list[Name]:
    """Return the extras of the project of a ``pyproject.toml``, which may be given by its folder. Raises UsageError."""
    return [Name(one, "extra") for one in _choices(project).extras]


def groups(project: Path) -> list[Name]:
    """Return the dependency groups of a project, as `extras` does."""
    return [Name(one, "dependency group") for one in _choices(project).groups]


def _choices(project: Path) -> Choice:
    from vstore.migration.documents import read_toml
    from vstore.migration.formats.pyproject import known_choices

    folder = project if project.is_dir() else project.parent
    return known_choices(read_toml(folder / "pyproject.toml"))


def _split(store: Store, text: str) -> tuple[str, str]:
    """Return the profile and the number in PROFILE@N; the text and an empty number for anything else."""
    profile, at, number = text.rpartition("@")
    known = stacks.names(store)
    return (profile, number) if at and profile in known and text not in known else (text, "")


def _within(store: Store, profile: str, number: str) -> Iterator[Name]:
    """Yield the layers of a generation, of the current one if `number` is empty."""
    for one in store.generations.of(profile):
        if one.current if not number else str(one.number) == number:
            layers = stacks.read_stack(store.layout.object(one.path)).layers
            yield from (Name(layer.name, layer.kind) for layer in layers)


def _described(one: Generation) -> str:
    return f"{one.created_at:%Y-%m-%d %H:%M}{', current' if one.current else ''}"
