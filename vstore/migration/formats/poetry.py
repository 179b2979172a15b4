"""The tables of Poetry in ``pyproject.toml``: constraints such as ``^1.2`` become version specifiers (PEP 440)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from vstore.documents import Fields
from vstore.migration.indexes import PYPI, IndexSettings
from vstore.migration.model import Choice
from vstore.migration.requirement import CollectedRequirements, name_of, place_of


def add_poetry(poetry: Fields, choice: Choice, collected: CollectedRequirements, indexes: IndexSettings) -> None:
    """Add the dependencies of Poetry's tables, and those of the chosen groups and extras."""
    _add_sources(poetry, indexes)
    extras = poetry.table("extras")
    optional: set[str] = {canonicalize_name(name) for extra in choice.extras for name in extras.texts(extra)}
    _add_table(poetry.table("dependencies"), collected, indexes, optional)
    groups = {name: group.table("dependencies") for name, group in poetry.tables_by_key("group").items()}
    if "dev-dependencies" in poetry:
        groups["dev"] = poetry.table("dev-dependencies")
    for name, table in groups.items():
        if name in choice.groups:
            _add_table(table, collected, indexes, optional)
    collected.name_others(choice, extras=extras.values, groups=groups)


def _add_sources(poetry: Fields, indexes: IndexSettings) -> None:
    """Add the package sources. As in Poetry, primary ones replace PyPI, and supplemental ones are searched last.

    https://python-poetry.org/docs/repositories/
    """
    found: dict[str, list[tuple[str | None, str]]] = {}
    for source in poetry.tables("source"):
        name, url = source.optional_text("name"), source.optional_text("url")
        if url or name:
            found.setdefault(_priority(source), []).append((name, url or PYPI))
    first = [*found.get("default", ()), *found.get("primary", ())] or [("pypi", PYPI)]
    last = [*found.get("secondary", ()), *found.get("supplemental", ())]
    indexes.add_searched([*first, *last], "unsafe-first-match" if last else "unsafe-best-match")
    for name, url in found.get("explicit", ()):
        indexes.add(url, name=name, explicit=True)


def _priority(source: Fields) -> str:
    """Return the priority of a source, also of the older form with ``default = true`` or ``secondary = true``."""
    older = next((key for key in ("default", "secondary") if source.values.get(key) is True), "primary")
    return (source.optional_text("priority") or older).lower()


def _add_table(table: Fields, collected: CollectedRequirements, indexes: IndexSettings, optional: set[str]) -> None:
    for name, value in table.values.items():
        if name.lower() == "python":
            continue
        for one in value if isinstance(value, list) else [value]:
            entry = {"version": one} if isinstance(one, str) else one
            if not isinstance(entry, dict) or (
                entry.get("optional") is True and canonicalize_name(name) not in optional
            ):
                continue
            if entry.get("allow-prereleases") is True:
                indexes.allow_prereleases(canonicalize_name(name))
            if isinstance(source := entry.get("source"), str):
                if source.lower() == "pypi":
                    indexes.add(PYPI, name=source, explicit=True)
                indexes.take_from(canonicalize_name(name), source)
            for text in _requirements(name, entry, collected):
                if text != name or canonicalize_name(name) not in map(name_of, collected.requirements):
                    collected.add(text)  # `[project]` has no requirement of the package that this one completes


def _requirements(name: str, entry: Mapping[str, object], collected: CollectedRequirements) -> Iterator[str]:
    """Return a dependency as a requirement."""
    extras = entry.get("extras")
    wanted = f"{name}[{','.join(map(str, extras))}]" if isinstance(extras, list) and extras else name
    markers = [str(entry["markers"])] if entry.get("markers") else []
    if entry.get("platform"):
        markers.append(f"sys_platform == '{entry['platform']}'")
    if entry.get("python"):
        clauses = [_python_clause(one) for one in poetry_specifier(str(entry["python"])).split(",")]
        markers += [one for one in clauses if one]
    marker = f" ; {' and '.join(f'({one})' for one in markers)}" if markers else ""
    place = place_of(entry)
    if place is not None:
        yield f"{wanted} @ {place}{marker}"
        return
    version = str(entry.get("version", "*"))
    if "||" in version or "|" in version:
        collected.leave_out(f"{name} {version}", "a choice of ranges: the requirement is taken over without versions")
        version = "*"
    yield f"{wanted}{poetry_specifier(version)}{marker}"


def _python_clause(clause: str) -> str:
    found = re.fullmatch(r"([<>=!~]=?)(\d+(?:\.\d+)*)", clause.strip())
    if found is None:
        return ""
    name = "python_full_version" if found[2].count(".") == 2 else "python_version"
    return f"{name} {found[1]} '{found[2]}'"


def poetry_python(poetry: Fields) -> str:
    """Return the version specifier of the Python that Poetry's table asks for; empty for any."""
    value = poetry.table("dependencies").values.get("python")
    text = value if isinstance(value, str) else "*"
    specifier = poetry_specifier(text.partition("|")[0])
    try:
        return str(SpecifierSet(specifier))
    except InvalidSpecifier:
        return ""


def poetry_specifier(text: str) -> str:
    """Return a version specifier for a constraint of Poetry: ``>=1.2,<2`` for ``^1.2``, nothing for ``*``."""
    return ",".join(filter(None, (_clause(one.strip()) for one in re.split(r",|\s+(?=[<>=!~^\d])", text))))


def _clause(text: str) -> str:
    if text in ("", "*"):
        return ""
    found = re.fullmatch(r"(\^|~=|~|[<>=!]=?|===)?\s*(v?[0-9][\w.+!-]*(?:\.\*)?)", text)
    if found is None:
        return text
    sign, version = found[1] or "==", found[2]
    if sign in ("^", "~"):
        numbers = [int(one) for one in re.split(r"[^\d.]", version)[0].strip(".").split(".") if one.isdigit()]
        at = (
            next((n for n, one in enumerate(numbers) if one), len(numbers) - 1)
            if sign == "^"
            else min(1, len(numbers) - 1)
        )
        limit = ".".join(str(one) for one in (*numbers[:at], numbers[at] + 1))
        return f">={version},<{limit}"
    return f"{'==' if sign == '=' else sign}{version}"
