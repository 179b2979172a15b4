"""The fields of a layer: its keys, name, platforms, systems and Python."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from vstore.objects import Kind
from vstore.python_version import REQUIREMENT
from vstore.spec.keys import ARCHITECTURE, GLIBC_VERSION, KEYS, LAYER_NAME, MACOS, keys_of
from vstore.spec.model import DEFAULT_LINUX, PREFIXES
from vstore.spec.reader import Mistakes, Table, quote
from vstore.target import Target

_NAME = re.compile(LAYER_NAME)
_GENERATION_LINK = re.compile(r"-\d+-link$")
_MACOS = re.compile(MACOS)
_IMPLEMENTATION = re.compile(rf"({REQUIREMENT})({ARCHITECTURE})?")


def check_keys(table: Table, kind: Kind) -> Table:
    """Add mistakes for unknown keys and warnings for obsolete ones. Return the table without these."""
    values = dict(table.values)
    if "build_requirements" in values:
        del values["build_requirements"]
        table.add_warning("build_requirements", "obsolete and ignored")
    if kind == Kind.RUNTIME and "fully_versioned_name" in values:
        old = values.pop("fully_versioned_name")
        if "python_implementation" in values:
            table.add_mistake("fully_versioned_name", "obsolete, and python_implementation is set as well")
        else:
            values["python_implementation"] = old
            table.add_warning("fully_versioned_name", "obsolete, read as python_implementation")
    checked = Table(values=values, key=table.key, mistakes=table.mistakes, label=table.label)
    checked.only(keys_of(kind), _elsewhere(kind))
    return checked


@cache
def _elsewhere(kind: Kind) -> Mapping[str, str]:
    """Return the keys that layers of a kind cannot have, with the plural of the kinds that have them."""
    return {key.name: " and ".join(f"{one}s" for one in key.kinds) for key in KEYS if kind not in key.kinds}


def read_name(table: Table, kind: Kind, taken: Mapping[str, str]) -> str | None:
    """Read the name of a layer. It must be valid as the name of a folder, and unique in its array.

    `taken` are the names so far by their casefolded forms.
    """
    name = table.string("name", required="a string")
    if name is None:
        return None
    if not is_valid_name(name):
        table.add_mistake("name", f"{quote(name)} is not a valid folder name, expected {NAME_RULE}")
        return None
    alike = taken.get(name.casefold())
    if alike == name:
        table.add_mistake("name", f"{kind} names must be distinct, {quote(name)} is defined already")
        return None
    if alike is not None:
        text = f"{kind} names must be distinct, {quote(name)} and {quote(alike)} are one folder on macOS and Windows"
        table.add_mistake("name", text)
    reserved = [prefix for prefix in PREFIXES.values() if prefix and name.casefold().startswith(prefix)]
    if kind == Kind.RUNTIME and reserved:
        table.add_mistake("name", f'{quote(name)} starts with the reserved prefix "{reserved[0]}"')
    return name


NAME_RULE = "letters, digits and @ + . _ - (no dot, dash, plus or @ in front), at most 100 characters"


def is_valid_name(name: str) -> bool:
    """Return whether the name may be part of a store path."""
    return _NAME.fullmatch(name) is not None


def is_profile_name(name: str) -> bool:
    """Return whether a profile may have this name. It must not have the form of a link to a generation."""
    return is_valid_name(name) and not _GENERATION_LINK.search(name)


def as_profile_name(text: str) -> str:
    """Return the most similar valid name."""
    return re.sub(r"[^A-Za-z0-9@+._-]+", "-", text).lstrip("@+.-")[:100] or "stack"


def read_platforms(table: Table, supported: Sequence[Target]) -> tuple[Target, ...]:
    """Read the declared targets, in their order. Return all that the layers below support if none are declared."""
    names = table.strings("platforms")
    if names is None:
        return tuple(supported)
    for number, name in enumerate(names):
        if name not in set(Target):
            expected = ", ".join(Target)
            table.add_mistake(
                f"platforms[{number}]", f"invalid target platform {quote(name)}, expected one of {expected}"
            )
    targets = dict.fromkeys(Target(name) for name in names if name in set(Target))
    beyond = [target for target in targets if target not in supported]
    if beyond:
        have = ", ".join(supported) or "none"
        table.add_mistake("platforms", f"not supported by lower layers: {', '.join(beyond)} (they have {have})")
    return tuple(target for target in targets if target in supported)


def read_linux_target(table: Table) -> str | None:
    """Read ``glibc`` or ``glibc@X.Y``."""
    text = table.string("linux_target")
    if text is None:
        return None
    variant, at, version = text.partition("@")
    if variant != "glibc" and re.fullmatch(r"[0-9]+\.[0-9]+", text):
        table.add_mistake("linux_target", f"found {quote(text)}, expected {quote(f'glibc@{text}')}")
        return None
    if variant != "glibc":
        table.add_mistake("linux_target", f"Linux libc variant must be one of ['glibc'], not {quote(variant)}")
        return None
    if at and not re.fullmatch(GLIBC_VERSION, version):
        table.add_mistake("linux_target", f"Linux libc version must be of the form 'X.Y', not {quote(version)}")
        return None
    return text


def glibc_of(text: str) -> tuple[int, int]:
    """Return the version in ``glibc@2.34``, the default one for ``glibc``."""
    major, minor = (text.partition("@")[2] or DEFAULT_LINUX.partition("@")[2]).split(".")
    return int(major), int(minor)


def macos_of(text: str) -> tuple[int, int]:
    """Return the version in ``14`` or ``13.2.1`` as wheel tags have it: major and minor."""
    major, minor = f"{text}.0".split(".")[:2]
    return int(major), int(minor)


def read_macosx_target(table: Table) -> str | None:
    """Read a version of macOS."""
    text = table.string("macosx_target")
    if text is not None and not _MACOS.fullmatch(text):
        table.add_mistake("macosx_target", f"found {quote(text)}, expected a version such as 14 or 13.0")
        return None
    return text


def read_deployment_target(environment: Mapping[str, str], mistakes: Mistakes) -> str | None:
    """Read `MACOSX_DEPLOYMENT_TARGET`, the default of ``macosx_target``. Return None if it is unset."""
    text = environment.get("MACOSX_DEPLOYMENT_TARGET") or None
    if text is not None and not _MACOS.fullmatch(text):
        mistakes.add("MACOSX_DEPLOYMENT_TARGET", f"found {quote(text)}, expected a version such as 14 or 13.0")
        return None
    return text


def read_implementation(table: Table) -> str | None:
    """Read a PythonRequirement as text. An architecture after it is dropped, as the targets decide it."""
    expected = "such as cpython@3.11, cpython@3.11.13, cpython@>=3.11,<3.14 or cpython"
    text = table.string("python_implementation", required=f"a string {expected}")
    if text is None:
        return None
    match = _IMPLEMENTATION.fullmatch(text)
    if match is None:
        table.add_mistake("python_implementation", f"found {quote(text)}, expected a version {expected}")
        return None
    if match[2]:
        table.add_warning("python_implementation", f'"{match[2]}" is ignored, the platforms decide the architecture')
    return match[1]
