"""Loading a spec: one straight way from a file's bytes to a Spec, or one SpecError with all mistakes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from vstore.digest import hash_fields
from vstore.errors import SpecError, nearest
from vstore.fs.reading import read_regular
from vstore.objects import Kind
from vstore.spec import fields
from vstore.spec.dependencies import Known, read_foundation
from vstore.spec.files.allowed import Project, allowed_outside
from vstore.spec.files.checkout import foreign_repository
from vstore.spec.indexes import read_package_indexes, read_priority_indexes, read_uv
from vstore.spec.model import DEFAULT_GLIBC, DEFAULT_MACOS, Layer, Spec
from vstore.spec.modules import read_modules
from vstore.spec.reader import Mistakes, Table, quote
from vstore.spec.requirements import read_requirements
from vstore.target import Target
from vstore.toml import TomlError, parse_toml
from vstore.values import frozen

_MAX_BYTES = 4 * 2**20
_MAX_LAYERS = 20_000
_ARRAYS = {"runtimes": Kind.RUNTIME, "frameworks": Kind.FRAMEWORK, "applications": Kind.APPLICATION}
_NAMELESS = ("spec", "vstore", "venvstacks")


def load(path: Path, *, check_requirements: bool = True, environment: Mapping[str, str] = MappingProxyType({})) -> Spec:
    """Read and check a spec; writes nothing. SpecError tells all mistakes, each with its key path.

    Without `check_requirements` the syntax of requirements is not looked at: for a spec that was loaded before.
    `MACOSX_DEPLOYMENT_TARGET` of the `environment` is the default of ``macosx_target``, and `VSTORE_ALLOW_OUTSIDE`
    has the folders outside of the project that modules may lie in.
    """
    path = Path(os.path.abspath(path))
    data = _read(path)
    mistakes = Mistakes(spec=path.name)
    document = Table(values=_parse(path.name, data), key="", mistakes=mistakes)
    _check_top_level(document)
    tool = document.table("tool")
    uv = read_uv(tool, path.parent, mistakes)
    outside = allowed_outside(environment)
    reader = _LayerReader(
        project=_project(path, outside, mistakes),
        indexes=uv.indexes,
        check_requirements=check_requirements,
        macosx_target=fields.read_deployment_target(environment, mistakes),
    )
    layers = reader.read(document)
    profile = _profile(tool, path, mistakes)
    if mistakes.found:
        raise _error(path.name, mistakes.found)
    digest = hash_fields("spec 1", data, *(() if uv.side_file is None else (uv.side_file,)))
    warnings = tuple(mistakes.warnings)
    return Spec(
        path=path,
        digest=digest,
        layers=layers,
        uv=MappingProxyType(uv.values),
        profile=profile,
        allow_outside=outside,
        warnings=warnings,
    )


def _project(path: Path, outside: Sequence[Path], mistakes: Mistakes) -> Project:
    project = Project.of(path, outside)
    foreign = foreign_repository(Path(os.path.realpath(path.parent)), project.owners)
    if foreign is not None:
        mistakes.warn(str(foreign), "belongs to another user, so the files that it ignores are not left out of modules")
    return project


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, limit=_MAX_BYTES)
    except FileNotFoundError:
        raise SpecError(f"no such spec: {path}", hint="`vstore init` writes a small one") from None
    except OSError as error:
        raise SpecError(f"spec cannot be read: {path}: {error.strerror}") from error


def _parse(name: str, data: bytes) -> Mapping[str, object]:
    """The TOML document; SpecError says at which line and column it is none."""
    try:
        return parse_toml(data)
    except TomlError as error:
        place = f" at {error.place}" if error.place else ""
        raise SpecError(f"{name}: not valid TOML{place}: {error.reason}") from error


def _check_top_level(document: Table) -> None:
    for key in document.values:
        if key not in (*_ARRAYS, "tool"):
            near = nearest(key, _ARRAYS)
            document.odd(key, f'unknown and ignored, did you mean "{near}"?' if near else "unknown and ignored")


def _profile(tool: Table | None, path: Path, mistakes: Mistakes) -> str:
    """``[tool.vstore] profile``, else the file's stem, or its folder's name where the stem says nothing."""
    own = None if tool is None else tool.table("vstore")
    if own is not None:
        own.only(("profile",))
        name = own.string("profile")
        if name is not None:
            if not fields.is_profile_name(name):
                own.wrong("profile", f"{quote(name)} is not fit for a profile's name, expected {fields.FIT}")
            return name
    name = fields.as_profile_name(path.parent.name if path.stem in _NAMELESS else path.stem)
    if not fields.is_profile_name(name):
        mistakes.add("tool.vstore.profile", f"missing, and {quote(name)} is not fit for a profile's name")
    return name


def _error(name: str, found: Mapping[str, str]) -> SpecError:
    """The error for mistakes with their hints."""
    if len(found) == 1:
        [(mistake, hint)] = found.items()
        first, *rest = mistake.splitlines()
        return SpecError(f"{name}: {first}", details=rest, hint=hint or None)
    lines = [line for mistake, hint in found.items() for line in (*mistake.splitlines(), *_hint_line(hint))]
    return SpecError(f"{name}: {len(found)} mistakes", details=lines)


def _hint_line(hint: str) -> list[str]:
    return [f"  hint: {hint}"] if hint else []


@frozen
class _LayerReader:
    """Reads the layers in file order; each sees those read before it."""

    project: Project
    indexes: frozenset[str]
    check_requirements: bool
    macosx_target: str | None

    @property
    def macos(self) -> tuple[int, int]:
        """The newest macOS that wheels may need where neither a layer nor one below it says so."""
        return fields.macos_of(self.macosx_target or DEFAULT_MACOS)

    def read(self, document: Table) -> tuple[Layer, ...]:
        """All layers that could be read; the others have left a mistake."""
        edges = {table.label: _names(table.values.get("frameworks")) for table in _quiet(document, "frameworks")}
        known = Known(edges=edges)
        applications: dict[str, Layer | None] = {}
        taken = {Kind.RUNTIME: known.runtimes, Kind.FRAMEWORK: known.frameworks, Kind.APPLICATION: applications}
        layers: list[Layer] = []
        if sum(len(table) for key in _ARRAYS if isinstance(table := document.values.get(key), list)) > _MAX_LAYERS:
            document.wrong("", f"a spec may have at most {_MAX_LAYERS:,} layers")
            return ()
        for array, kind in _ARRAYS.items():
            folded: dict[str, str] = {}
            for raw in document.tables(array):
                table = fields.check_keys(raw, kind)
                name = fields.read_name(table, kind, folded)
                layer = self._layer(table, kind, name, known)
                if name is not None:
                    folded.setdefault(name.casefold(), name)
                    taken[kind][name] = layer
                if layer is not None:
                    layers.append(layer)
        return tuple(layers)

    def _layer(self, table: Table, kind: Kind, name: str | None, known: Known) -> Layer | None:
        """The layer; None without a name or a sound foundation. What can be checked of it is checked all the same."""
        implementation = fields.read_implementation(table) if kind == Kind.RUNTIME else None
        foundation = None if kind == Kind.RUNTIME else read_foundation(table, name, known)
        launch, support = read_modules(table, self.project) if kind == Kind.APPLICATION else (None, ())
        dependencies = () if foundation is None else (foundation.runtime, *foundation.frameworks)
        parents = () if foundation is None else foundation.parents  # whose targets are among those of all below
        supported = [target for target in Target if all(target in parent.targets for parent in parents)]
        inherited_from = () if foundation is None else foundation.inherited_from
        linux, macosx = fields.read_linux_target(table), fields.read_macosx_target(table)
        layer = Layer(
            kind=kind,
            name=name or "",
            requirements=read_requirements(table, check=self.check_requirements),
            versioned=table.boolean("versioned"),
            targets=fields.read_platforms(table, supported),
            platforms_named="platforms" in table or any(lower.platforms_named for lower in dependencies),
            linux_target=linux,
            macosx_target=macosx or self.macosx_target,
            glibc=fields.glibc_of(linux) if linux else max((one.glibc for one in dependencies), default=DEFAULT_GLIBC),
            macos=fields.macos_of(macosx) if macosx else max((one.macos for one in dependencies), default=self.macos),
            dynlib_exclude=table.strings("dynlib_exclude") or (),
            package_indexes=MappingProxyType(read_package_indexes(table, self.indexes, inherited_from)),
            index_overrides=MappingProxyType(table.string_table("index_overrides")),
            priority_indexes=read_priority_indexes(table, self.indexes),
            python_implementation=implementation,
            runtime=None if foundation is None else foundation.runtime.name,
            frameworks=() if foundation is None else foundation.declared,
            linearised=() if foundation is None else tuple(layer.name for layer in foundation.frameworks),
            launch_module=launch,
            support_modules=support,
        )
        return None if name is None or (kind != Kind.RUNTIME and foundation is None) else layer


def _quiet(document: Table, key: str) -> tuple[Table, ...]:
    """The tables of an array, read ahead: their mistakes are noted when they are read in turn."""
    return Table(values=document.values, key=document.key, mistakes=Mistakes()).tables(key)


def _names(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
