"""Loading a spec: from the bytes of a file to a `Spec`, or to one SpecError with all mistakes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from vstore.digest import hash_fields
from vstore.errors import SpecError, nearest, suggestion
from vstore.fs.paths import typed
from vstore.fs.reading import read_regular
from vstore.objects import Kind
from vstore.spec import fields
from vstore.spec.dependencies import Dependencies, EarlierLayers, read_dependencies
from vstore.spec.files.checkout import foreign_repository
from vstore.spec.files.module_roots import ModuleRoots, allowed_outside
from vstore.spec.indexes import read_package_indexes, read_priority_indexes, read_uv
from vstore.spec.model import DEFAULT_GLIBC, DEFAULT_MACOS, Layer, Spec
from vstore.spec.modules import read_modules
from vstore.spec.reader import Mistakes, Table, quote
from vstore.spec.requirements import read_requirements
from vstore.target import Target
from vstore.toml import TomlError, parse_toml
from vstore.values import frozen

MAX_BYTES = 4 * 2**20
PROJECT_FILE = "pyproject.toml"  # has the spec in [tool.vstore]
_MAX_LAYERS = 20_000
_ARRAYS = {"runtimes": Kind.RUNTIME, "frameworks": Kind.FRAMEWORK, "applications": Kind.APPLICATION}
_GENERIC_STEMS = ("spec", "vstore", "venvstacks", "pyproject")


def load(
    path: Path,
    *,
    check_requirements: bool = True,
    environment: Mapping[str, str] = MappingProxyType({}),
    allow_outside: Sequence[Path] = (),
) -> Spec:
    """Read and check a spec. Raises SpecError with all mistakes, each with its key path.

    Without `check_requirements` the syntax of requirements is not checked, which is for a spec that was loaded before.
    Of the `environment`, `MACOSX_DEPLOYMENT_TARGET` is the default of ``macosx_target``. Modules may lie in the spec's
    checkout or folder, in `allow_outside`, and in the folders that `VSTORE_ALLOW_OUTSIDE` names.
    """
    path = Path(os.path.abspath(path))
    data = _read(path)
    mistakes = Mistakes(spec=typed(path))
    document = Table(values=parse(typed(path), data), key="", mistakes=mistakes)
    tables = _tables(path, document)
    uv = read_uv(tables.uv_parent, path.parent, mistakes)
    roots = _module_roots(path, (*allowed_outside(environment), *allow_outside), mistakes)
    reader = _LayerReader(
        roots=roots,
        indexes=uv.indexes,
        check_requirements=check_requirements,
        macosx_target=fields.read_deployment_target(environment, mistakes),
    )
    layers = reader.read(tables.layers)
    profile = _profile(tables, path, mistakes)
    if mistakes.found:
        raise _error(typed(path), mistakes.found)
    digest = hash_fields("spec 1", data, *(() if uv.side_file is None else (uv.side_file,)))
    warnings = tuple(mistakes.warnings)
    return Spec(
        path=path,
        digest=digest,
        layers=layers,
        uv=MappingProxyType(uv.values),
        profile=profile,
        module_roots=roots,
        warnings=warnings,
    )


def check_requirement_syntax(spec: Spec) -> None:
    """Check the requirements of a spec that was loaded without that. Raises SpecError with all mistakes."""
    mistakes = Mistakes(spec=typed(spec.path))
    arrays: dict[str, object] = {
        array: [{"name": one.name, "requirements": list(one.requirements)} for one in spec.layers if one.kind == kind]
        for array, kind in _ARRAYS.items()
    }
    key = "tool.vstore" if spec.path.name == PROJECT_FILE else ""
    document = Table(values=arrays, key=key, mistakes=mistakes)
    for table in chain.from_iterable(map(document.tables, arrays)):
        read_requirements(table, check=True)
    if mistakes.found:
        raise _error(typed(spec.path), mistakes.found)


def _module_roots(path: Path, outside: Sequence[Path], mistakes: Mistakes) -> ModuleRoots:
    roots = ModuleRoots.of(path, outside)
    foreign = foreign_repository(Path(os.path.realpath(path.parent)), roots.owners)
    if foreign is not None:
        mistakes.warn(str(foreign), "belongs to another user, so modules contain the files that it ignores")
    return roots


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, limit=MAX_BYTES)
    except FileNotFoundError:
        beside = [one.name for one in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        hint = f"{suggestion(path.name, beside)}`vstore init` writes a small one"
        raise SpecError(f"no such spec: {typed(path)}", hint=hint) from None
    except OSError as error:
        hint = "name a file in TOML, or the folder in which spec.toml lies"
        raise SpecError(f"spec cannot be read: {typed(path)}: {error.strerror}", hint=hint) from error


def parse(name: str, data: bytes) -> Mapping[str, object]:
    """Parse TOML. Raises SpecError with line and column."""
    try:
        return parse_toml(data)
    except TomlError as error:
        place = f" at {error.place}" if error.place else ""
        raise SpecError(f"{name}: not valid TOML{place}: {error.reason}") from error


@frozen
class _Tables:
    """The tables of a spec: the parent of the layers, of uv's settings, and ``[tool.vstore]``."""

    layers: Table
    uv_parent: Table | None
    own: Table | None


def _tables(path: Path, document: Table) -> _Tables:
    """Find the tables. Raises SpecError for a ``pyproject.toml`` that has no spec."""
    tool = document.table("tool")
    own = None if tool is None else tool.table("vstore")
    if path.name != PROJECT_FILE:
        _check_top_level(document)
        if own is not None:
            own.only(("profile",))
        return _Tables(layers=document, uv_parent=tool, own=own)
    if own is None:
        raise SpecError(
            f"{typed(path)} has no spec in [tool.vstore]",
            hint="write its layers as [[tool.vstore.runtimes]] and so on; or `vstore init` writes a spec of its own",
        )
    own.only((*_ARRAYS, "profile", "uv"))
    uv = tool.table("uv") if tool is not None else None
    if uv is not None and "index" in uv and "uv" not in own:
        uv.add_warning("index", "is for the project alone; [tool.vstore.uv] has the indexes of the layers")
    return _Tables(layers=own, uv_parent=own, own=own)


def _check_top_level(document: Table) -> None:
    for key in document.values:
        if key not in (*_ARRAYS, "tool", "$schema"):
            near = nearest(key, _ARRAYS)
            document.add_warning(key, f'unknown and ignored, did you mean "{near}"?' if near else "unknown and ignored")


def _profile(tables: _Tables, path: Path, mistakes: Mistakes) -> str:
    """Return ``[tool.vstore] profile``, else the stem of the file name, or the folder's name if the stem is generic."""
    name = None if tables.own is None else tables.own.string("profile")
    if tables.own is not None and name is not None:
        if not fields.is_profile_name(name):
            tables.own.add_mistake("profile", f"{quote(name)} is not a valid profile name, expected {fields.NAME_RULE}")
        return name
    name = fields.as_profile_name(path.parent.name if path.stem in _GENERIC_STEMS else path.stem)
    if not fields.is_profile_name(name):
        mistakes.add("tool.vstore.profile", f"missing, and {quote(name)} is not a valid profile name")
    return name


def _error(name: str, found: Mapping[str, str]) -> SpecError:
    """Return one error for all mistakes, with their hints."""
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
    """Reads the layers in file order. Each can refer to those before it."""

    roots: ModuleRoots
    indexes: frozenset[str]
    check_requirements: bool
    macosx_target: str | None

    @property
    def macos(self) -> tuple[int, int]:
        """The newest macOS that wheels may need, where no layer sets it."""
        return fields.macos_of(self.macosx_target or DEFAULT_MACOS)

    def read(self, document: Table) -> tuple[Layer, ...]:
        """Return the layers that have no mistakes of names and dependencies."""
        edges = {table.label: _names(table.values.get("frameworks")) for table in _quiet(document, "frameworks")}
        earlier = EarlierLayers(edges=edges)
        applications: dict[str, Layer | None] = {}
        taken = {Kind.RUNTIME: earlier.runtimes, Kind.FRAMEWORK: earlier.frameworks, Kind.APPLICATION: applications}
        layers: list[Layer] = []
        if sum(len(table) for key in _ARRAYS if isinstance(table := document.values.get(key), list)) > _MAX_LAYERS:
            document.add_mistake("", f"a spec may have at most {_MAX_LAYERS:,} layers")
            return ()
        for array, kind in _ARRAYS.items():
            folded: dict[str, str] = {}
            for raw in document.tables(array):
                table = fields.check_keys(raw, kind)
                name = fields.read_name(table, kind, folded)
                layer = self._layer(table, kind, name, earlier)
                if name is not None:
                    folded.setdefault(name.casefold(), name)
                    taken[kind][name] = layer
                if layer is not None:
                    layers.append(layer)
        return tuple(layers)

    def _layer(self, table: Table, kind: Kind, name: str | None, earlier: EarlierLayers) -> Layer | None:
        """Read a layer. Return None if its name or dependencies are wrong; other fields are checked all the same."""
        implementation = fields.read_implementation(table) if kind == Kind.RUNTIME else None
        found = Dependencies() if kind == Kind.RUNTIME else read_dependencies(table, name, earlier)
        below = found or Dependencies()
        launch, support = read_modules(table, self.roots) if kind == Kind.APPLICATION else (None, ())
        supported = [target for target in Target if all(target in layer.targets for layer in below.direct)]
        linux, macosx = fields.read_linux_target(table), fields.read_macosx_target(table)
        layer = Layer(
            kind=kind,
            name=name or "",
            requirements=read_requirements(table, check=self.check_requirements),
            versioned=table.boolean("versioned"),
            targets=fields.read_platforms(table, supported),
            platforms_named="platforms" in table or any(lower.platforms_named for lower in below.layers),
            linux_target=linux,
            macosx_target=macosx or self.macosx_target,
            glibc=fields.glibc_of(linux) if linux else max((one.glibc for one in below.layers), default=DEFAULT_GLIBC),
            macos=fields.macos_of(macosx) if macosx else max((one.macos for one in below.layers), default=self.macos),
            dynlib_exclude=table.strings("dynlib_exclude") or (),
            package_indexes=MappingProxyType(read_package_indexes(table, self.indexes, below.inherited_from)),
            index_overrides=MappingProxyType(table.string_table("index_overrides")),
            priority_indexes=read_priority_indexes(table, self.indexes),
            python_implementation=implementation,
            frameworks=below.declared,
            dependencies=below.layers,
            launch_module=launch,
            support_modules=support,
        )
        return None if name is None or found is None else layer


def _quiet(document: Table, key: str) -> tuple[Table, ...]:
    """Return the tables of an array without noting mistakes, which are noted when the layers are read."""
    return Table(values=document.values, key=document.key, mistakes=Mistakes()).tables(key)


def _names(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
