"""One layer's table: every field by name, type and rule (compat.md section 2)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from vstore.objects import Kind
from vstore.spec.model import Layer, Target

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9@+._-]{0,90}")
_PYTHON = re.compile(r"(cpython)@(\d+\.\d+(?:\.\d+)?)")
_LINUX = re.compile(r"glibc(?:@(\d+)\.(\d+))?")
_COMMON = {
    "name",
    "requirements",
    "versioned",
    "platforms",
    "linux_target",
    "macosx_target",
    "dynlib_exclude",
    "package_indexes",
    "index_overrides",
    "priority_indexes",
}
_OWN = {
    Kind.RUNTIME: {"python_implementation"},
    Kind.FRAMEWORK: {"runtime", "frameworks"},
    Kind.APPLICATION: {"runtime", "frameworks", "launch_module", "support_modules"},
}


class Mistakes:
    """Collects what is wrong with a spec, each with its key path."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, key: str, found: str, expected: str | None = None) -> None:
        self.lines.append(f"{key}: {found}" + (f" ({expected})" if expected else ""))


class _Table:
    """Takes fields out of a TOML table by type; what is wrong goes to the mistakes."""

    def __init__(self, values: dict[str, Any], key: str, mistakes: Mistakes) -> None:
        self.values = values
        self.key = key
        self.mistakes = mistakes

    def _take(self, field: str, kind: type, expected: str, required: bool) -> Any:
        value = self.values.get(field)
        if value is None:
            if required:
                self.mistakes.add(self.key, f"missing '{field}'", f"expected {expected}")
            return None
        if type(value) is not kind:
            self.mistakes.add(f"{self.key}.{field}", f"found {value!r}", f"expected {expected}")
            return None
        return value

    def text(self, field: str, *, required: bool = False) -> str | None:
        value = self._take(field, str, "a string", required)
        return None if value is None else str(value)

    def flag(self, field: str) -> bool:
        return bool(self._take(field, bool, "true or false", False))

    def texts(self, field: str, *, required: bool = False) -> tuple[str, ...] | None:
        value = self._take(field, list, "an array of strings", required)
        if value is None:
            return None
        if not all(isinstance(one, str) for one in value):
            self.mistakes.add(f"{self.key}.{field}", f"found {value!r}", "expected an array of strings")
            return None
        return tuple(value)

    def mapping(self, field: str) -> Mapping[str, str]:
        value = self._take(field, dict, "a table of strings", False)
        if value is None:
            return {}
        if not all(isinstance(one, str) for one in value.values()):
            self.mistakes.add(f"{self.key}.{field}", f"found {value!r}", "expected a table of strings")
            return {}
        return dict(value)


def read_layer(kind: Kind, values: dict[str, Any], key: str, mistakes: Mistakes, warnings: list[str]) -> Layer | None:
    """One layer; None when it has no usable name. Absent `platforms` are settled by `check_layers`."""
    values = _without_deprecated(kind, dict(values), key, mistakes, warnings)
    known = _COMMON | _OWN[kind]
    for field in values:
        if field not in known:
            close = difflib.get_close_matches(field, known, n=1)
            mistakes.add(f"{key}.{field}", "unknown key", f"did you mean {close[0]}?" if close else None)
    table = _Table(values, key, mistakes)
    name = table.text("name", required=True)
    if name is None or not _name_is_usable(name, kind, key, mistakes):
        return None
    launch = table.text("launch_module", required=kind == Kind.APPLICATION)
    return Layer(
        kind=kind,
        name=name,
        requirements=table.texts("requirements", required=True) or (),
        versioned=table.flag("versioned"),
        targets=_targets(table),
        targets_given="platforms" in values,
        linux_target=_linux_target(table),
        macosx_target=_macosx_target(table),
        dynlib_exclude=table.texts("dynlib_exclude") or (),
        package_indexes=table.mapping("package_indexes"),
        index_overrides=table.mapping("index_overrides"),
        priority_indexes=table.texts("priority_indexes") or (),
        python_implementation=_python(table) if kind == Kind.RUNTIME else None,
        runtime=table.text("runtime") if kind != Kind.RUNTIME else None,
        frameworks=table.texts("frameworks") or () if kind != Kind.RUNTIME else (),
        launch_module=PurePosixPath(launch) if launch else None,
        support_modules=tuple(sorted(map(PurePosixPath, table.texts("support_modules") or ()))),
    )


def _without_deprecated(
    kind: Kind, values: dict[str, Any], key: str, mistakes: Mistakes, warnings: list[str]
) -> dict[str, Any]:
    if "build_requirements" in values:
        del values["build_requirements"]
        warnings.append(f"{key}.build_requirements: no longer used, ignored")
    if kind == Kind.RUNTIME and "fully_versioned_name" in values:
        old = values.pop("fully_versioned_name")
        if "python_implementation" in values:
            mistakes.add(f"{key}.fully_versioned_name", "given beside python_implementation", "keep the latter")
        else:
            values["python_implementation"] = old
            warnings.append(f"{key}.fully_versioned_name: the old name of python_implementation")
    return values


def _name_is_usable(name: str, kind: Kind, key: str, mistakes: Mistakes) -> bool:
    if not _NAME.fullmatch(name):
        mistakes.add(f"{key}.name", f"not fit for a folder: {name!r}", "letters, digits, . _ - + @")
        return False
    if kind == Kind.RUNTIME and name.startswith(("framework-", "app-")):
        mistakes.add(f"{key}.name", f"a runtime's name must not start with framework- or app-: {name!r}")
    return True


def _targets(table: _Table) -> tuple[Target, ...]:
    """The platforms as given."""
    targets = []
    for text in table.texts("platforms") or ():
        try:
            targets.append(Target(text))
        except ValueError:
            allowed = ", ".join(Target)
            table.mistakes.add(f"{table.key}.platforms", f'invalid target platform "{text}"', f"expected {allowed}")
    return tuple(targets)


def _linux_target(table: _Table) -> str | None:
    text = table.text("linux_target")
    if text is None or _LINUX.fullmatch(text):
        return text
    variant, _, version = text.partition("@")
    if variant != "glibc":
        table.mistakes.add(f"{table.key}.linux_target", f"Linux libc variant must be one of: glibc; found {text!r}")
    else:
        table.mistakes.add(f"{table.key}.linux_target", f"libc version must be of the form 'X.Y': {version!r}")
    return None


def _macosx_target(table: _Table) -> str | None:
    text = table.text("macosx_target")
    if text is None or re.fullmatch(r"\d+(\.\d+)?", text):
        return text
    table.mistakes.add(f"{table.key}.macosx_target", f"found {text!r}", "expected a version such as 13.0")
    return None


def _python(table: _Table) -> str | None:
    text = table.text("python_implementation", required=True)
    if text is None or _PYTHON.fullmatch(text):
        return text
    table.mistakes.add(
        f"{table.key}.python_implementation", f"found {text!r}", "expected cpython@3.11 or cpython@3.11.13"
    )
    return None
