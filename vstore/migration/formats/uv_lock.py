"""uv's lock: its packages as a graph, from the project itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from vstore.documents import Fields
from vstore.migration.formats.conditions import Conditions
from vstore.migration.indexes import PYPI, IndexSettings
from vstore.migration.model import Choice, Pin
from vstore.migration.requirement import SPEC, CollectedRequirements
from vstore.spec.requirement_hints import wheel_hint

_EXTRA = re.compile(r"(?: and )?extra == (['\"])(?P<name>[^'\"]+)\1(?: and )?")
_LOCAL = ("editable", "virtual", "directory")


class UvLock:
    """A ``uv.lock``, read for a project in it with the chosen extras and groups.

    `name` is that of the project, by default that of the package in the folder of the lock. It is empty if there is
    none, as in the lock of a script (``script.py.lock``).
    """

    def __init__(self, document: Fields, choice: Choice, name: str | None = None) -> None:
        self.document = document
        self._choice = choice
        self._packages = list(document.tables("package"))
        self._by_name: dict[str, list[Fields]] = {}
        for package in self._packages:
            self._by_name.setdefault(canonicalize_name(package.text("name")), []).append(package)
        self.name = self._name_in_folder() if name is None else name
        self._roots = self._by_name.get(canonicalize_name(self.name), [])
        self._conditions = Conditions(choice.extras, choice.groups)

    @property
    def python(self) -> str:
        """The version specifier of Python."""
        return self.document.optional_text("requires-python") or ""

    def _name_in_folder(self) -> str:
        for package in self._packages:
            if any(package.table("source").values.get(key) == "." for key in _LOCAL):
                return package.text("name")
        return ""

    def requirements(self) -> Iterator[str]:
        """Return the requirements of the project as the lock records them, those of a script too."""
        for root in self._roots if self.name else [self.document.table("manifest")]:
            metadata = root.table("metadata")
            for entry in (*metadata.tables("requires-dist"), *root.tables("requirements")):
                marker = entry.optional_text("marker") or ""
                extra = _EXTRA.search(marker)
                if extra is None:
                    yield _requirement(entry, marker)
                elif extra["name"] in self._choice.extras:
                    yield _requirement(entry, _EXTRA.sub("", marker))
            groups = metadata.table("requires-dev")
            for group in self._choice.groups:
                for entry in groups.tables(group):
                    yield _requirement(entry, entry.optional_text("marker") or "")

    def name_others(self, collected: CollectedRequirements) -> None:
        """Note the extras and groups of the project that are not chosen."""
        for root in self._roots:
            extras = root.table("optional-dependencies").values
            collected.name_others(self._choice, extras=extras, groups=root.table("dev-dependencies").values)

    def add_to(self, collected: CollectedRequirements, indexes: IndexSettings) -> None:
        """Add the indexes that packages come from, and note the packages that no index has."""
        for package in self._needed:
            source = package.table("source")
            title = f"{package.text('name')} {package.values.get('version', '')}".strip()
            if isinstance(url := source.values.get("registry"), str):
                if (
                    url.rstrip("/") != PYPI
                    and urlsplit(url).scheme in ("http", "https")
                    and not indexes.offers_all(url)
                ):
                    index = indexes.add(url, explicit=True)
                    indexes.take_from(canonicalize_name(package.text("name")), index)
            elif "git" in source:
                url = source.text("git").partition("?")[0]
                revision = source.text("git").partition("#")[2]
                collected.leave_out(
                    f"{title} from git", wheel_hint(f"git+{url}@{revision}", SPEC, package.text("name"))
                )
            elif any(key in source for key in ("editable", "directory", "path")):
                place = next(str(source.values[key]) for key in ("editable", "directory", "path") if key in source)
                if place != "." and canonicalize_name(package.text("name")) != canonicalize_name(self.name):
                    self._member(package, place, collected)

    def _member(self, package: Fields, place: str, collected: CollectedRequirements) -> None:
        """Add the dependencies of a member of the workspace, whose own code is no package here."""
        for entry in package.table("metadata").tables("requires-dist"):
            marker = entry.optional_text("marker") or ""
            if "extra ==" not in marker and not self._is_local(entry.text("name")):
                collected.add(_requirement(entry, marker))
        reason = f"its dependencies are taken over; name its code in {place} as `support_modules`"
        collected.leave_out(f"{package.text('name')} in {place}", reason)

    def _is_local(self, name: str) -> bool:
        found = self._by_name.get(canonicalize_name(name), [])
        return any(key in package.table("source") for package in found for key in (*_LOCAL, "path", "git"))

    def pins(self) -> tuple[Pin, ...]:
        """Return the pins of the packages that the project needs."""
        needed = [package for package in self._needed if "registry" in package.table("source")]
        names = [canonicalize_name(package.text("name")) for package in needed]
        return tuple(
            _pin(package, self._conditions, several=names.count(one) > 1)
            for one, package in zip(names, needed, strict=True)
        )

    @cached_property
    def _needed(self) -> list[Fields]:
        """The packages that the project needs, directly or not, by name; of a script all packages."""
        if not self._roots:
            return self._packages
        choice = self._choice
        pending = [edge for root in self._roots for edge in _edges(root, choice.extras, choice.groups)]
        seen: dict[tuple[str, ...], Fields] = {}
        while pending:
            edge = pending.pop()
            if not self._conditions.decide(edge.optional_text("marker"))[0]:
                continue
            extras = ("", *edge.texts("extra"))
            for package in self._matching(edge):
                for extra in extras:
                    key = (*_identity(package), extra)
                    if key not in seen:
                        seen[key] = package
                        pending += _edges(package, (extra,) if extra else (), ())
        found = {key[:-1]: package for key, package in seen.items() if package not in self._roots}
        return [package for _, package in sorted(found.items(), key=lambda one: one[0])]

    def _matching(self, edge: Fields) -> Iterable[Fields]:
        given = {key: edge.values[key] for key in ("version", "source") if key in edge}
        found = self._by_name.get(canonicalize_name(edge.text("name")), [])
        return [one for one in found if all(one.values.get(key) == value for key, value in given.items())]


def _identity(package: Fields) -> tuple[str, str, str]:
    """Return name, version and source of a package: a version may be in the lock from several indexes."""
    name = canonicalize_name(package.text("name"))
    return name, str(package.values.get("version")), str(package.values.get("source"))


def _edges(package: Fields, extras: tuple[str, ...], groups: tuple[str, ...]) -> list[Fields]:
    optional, development = package.table("optional-dependencies"), package.table("dev-dependencies")
    return [
        *package.tables("dependencies"),
        *(edge for extra in extras for edge in optional.tables(extra)),
        *(edge for group in groups for edge in development.tables(group)),
    ]


def _requirement(entry: Fields, marker: str) -> str:
    extras = entry.texts("extras")
    wanted = entry.text("name") + (f"[{','.join(extras)}]" if extras else "")
    place = entry.optional_text("url") or ""
    version = f" @ {place}" if place else entry.optional_text("specifier") or ""
    return wanted + version + (f" ; {marker}" if marker else "")


def _pin(package: Fields, conditions: Conditions, *, several: bool) -> Pin:
    decided = [conditions.decide(marker) for marker in package.texts("resolution-markers")]
    markers = [marker for possible, marker in decided if possible]
    wheels = list(package.tables("wheels"))
    sizes = [size for wheel in wheels if (size := wheel.optional_size("size")) is not None]
    return Pin(
        name=canonicalize_name(package.text("name")),
        version=package.text("version"),
        marker=" or ".join(f"({one})" for one in markers if one) if several and markers and all(markers) else None,
        wheels=tuple(map(_file_name, wheels)),
        size_bytes=max(sizes, default=None),
        requires=tuple(canonicalize_name(edge.text("name")) for edge in package.tables("dependencies")),
    )


def _file_name(wheel: Fields) -> str:
    if name := wheel.optional_text("filename"):
        return name
    return last_part(wheel.optional_text("url") or wheel.optional_text("path") or "")


def last_part(place: str) -> str:
    """Return the file name at the end of a URL or a path."""
    return PurePosixPath(unquote(urlsplit(place).path)).name


def lock_of_script(script: Path) -> Path | None:
    """Return the lock that ``uv lock --script`` writes beside a script, if there is one."""
    path = script.with_name(f"{script.name}.lock")
    return path if path.is_file() else None
