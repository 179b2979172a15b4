"""The temporary uv project in which layers are resolved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from vstore.errors import LockError
from vstore.fs.reading import check_regular
from vstore.lock.markers import exact_marker, holds, targets_marker
from vstore.lock.model import LockedLayer, LockedPackage, PythonForLocking
from vstore.spec import Layer, Spec
from vstore.target import Target
from vstore.toml import tables
from vstore.values import frozen

PROJECT = "vstore-layers"
SETTINGS = "settings.toml"
PROJECT_ONLY = {  # uv refuses these in a uv.toml
    *("sources", "workspace", "conflicts", "managed", "package", "build-backend"),
    *("default-groups", "dependency-groups", "dev-dependencies", "environments", "required-environments"),
}


@frozen
class ResolveRequest:
    """Layers to resolve together, over the locks of the layers below them (`dependencies`, nearest first).

    The `required` targets must be resolved, the `optional` ones may fail. `pins` are further constraints; `preferred`
    are versions by target and package. With `any_system`, wheels may need any glibc or macOS.
    """

    spec: Spec
    layers: tuple[Layer, ...]
    python: PythonForLocking
    required: tuple[Target, ...]
    optional: tuple[Target, ...] = ()
    dependencies: Sequence[LockedLayer] = ()
    pins: tuple[str, ...] = ()
    preferred: Mapping[Target, Mapping[str, str]] = {}
    local_wheels: Sequence[Path] = ()
    index: bool = True
    any_system: bool = False

    @property
    def title(self) -> str:
        """The layers in words, for messages."""
        names = [layer.env_name for layer in self.layers]
        return f"layer {names[0]}" if len(names) == 1 else f"layers {', '.join(names[:-1])} and {names[-1]}"

    @property
    def subject(self) -> str:
        """The layers as a subject of progress: the name of a layer, or how many they are."""
        return self.layers[0].env_name if len(self.layers) == 1 else f"{len(self.layers)} layers together"

    @property
    def glibc(self) -> tuple[int, int]:
        """The newest glibc that wheels may need."""
        return (2, 99) if self.any_system else max(layer.glibc for layer in self.layers)

    @property
    def macos(self) -> tuple[int, int]:
        """The newest macOS that wheels may need."""
        return (99, 0) if self.any_system else max(layer.macos for layer in self.layers)

    def below(self, target: Target) -> dict[str, tuple[str, str]]:
        """Return by package the version that constrains the resolution for a target, and the layer that pins it."""
        return pins_on((*self.dependencies[-1:], *self.dependencies[:-1]), target, self.python.pin.version)

    def constraints(self) -> list[str]:
        """Return the packages of the layers below and the pins, as requirements."""
        named = _named_by_url(self)
        lower = [named.get(pin.partition("==")[0], pin) for pin, _ in dependency_pins(self.dependencies)]
        return [*lower, *self.pins]


def write_project(
    folder: Path,
    request: ResolveRequest,
    access_settings: Mapping[str, object],
    *,
    target: Target | None,
    targets: Sequence[Target],
    pins: Iterable[str],
) -> None:
    """Write ``pyproject.toml``, and uv's settings in addition to `access_settings`.

    For one `target`, the project has the requirements of all layers, in the order of the spec, which is uv's order of
    priority. Otherwise each layer is a dependency group (`group`), for `targets`, or for any machine if there are none.
    """
    import tomli_w

    python = request.python.pin.version
    table = _settings(request, list(pins))
    settings = dict(access_settings) | {key: value for key, value in table.items() if key not in PROJECT_ONLY}
    project: dict[str, object] = {"name": PROJECT, "version": "0", "requires-python": f"=={python}"}
    document: dict[str, object] = {"project": project, "tool": {"uv": table}}
    if target is not None:
        layers = [layer for layer in request.layers if target in layer.targets]
        project["dependencies"] = [text for layer in layers for text in layer.requirements]
    else:
        everywhere = set(request.required) | set(request.optional)
        document["dependency-groups"] = {
            group(number): list(_scoped(layer, everywhere)) for number, layer in enumerate(request.layers)
        }
        if targets:
            table["environments"] = [exact_marker(one, python) for one in targets]
    (folder / "pyproject.toml").write_text(tomli_w.dumps(document), encoding="utf-8")
    (folder / SETTINGS).write_text(tomli_w.dumps(settings), encoding="utf-8")


def group(number: int) -> str:
    """Return the name of the dependency group of a layer, given its place in the request."""
    return f"layer-{number}"


def _scoped(layer: Layer, everywhere: set[Target]) -> Iterable[str]:
    """Return the requirements of a layer, limited to its own targets where these are fewer."""
    return layer.requirements if everywhere <= set(layer.targets) else _with_targets(layer)


def _with_targets(layer: Layer) -> Iterator[str]:
    from packaging.requirements import Requirement

    targets = targets_marker(layer.targets)
    for text in layer.requirements:
        requirement = Requirement(text)
        own = f"({requirement.marker}) and " if requirement.marker else ""
        requirement.marker = None
        yield f"{requirement} ; {own}({targets})"


def _settings(request: ResolveRequest, pins: list[str]) -> dict[str, object]:
    spec = request.spec
    table = {key: value for key, value in spec.uv.items() if key not in ("sources", "index", "environments")}
    indexes, sources = _indexes(request)
    wheels = [str(_wheel_folder(folder)) for folder in request.local_wheels]
    table |= {
        "no-build": True,
        "package": False,
        "constraint-dependencies": [*_array(table.get("constraint-dependencies")), *pins],
    }
    if wheels or table.get("find-links"):
        table["find-links"] = [*(_find_links(spec, str(one)) for one in _array(table.get("find-links"))), *wheels]
    if not request.index:
        table["no-index"] = True
    if indexes:
        table["index"] = indexes
    if sources:
        table["sources"] = sources
    return table


def _array(value: object) -> list[object]:
    """Return the items of an array. Another value is one item, for uv to refuse."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _named_by_url(request: ResolveRequest) -> dict[str, str]:
    """Return the requirements of the layers below that name a wheel by its URL, by package. No index has these."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    layers = [request.spec.layer(locked.env_name) for locked in request.dependencies]
    found = [Requirement(text) for layer in layers for text in layer.requirements if "@" in text]
    return {canonicalize_name(one.name): str(one) for one in found if one.url is not None}


def _find_links(spec: Spec, place: str) -> str:
    """Resolve a folder relative to the spec, not to the temporary project."""
    return place if "://" in place else str(_wheel_folder(spec.path.parent / place))


def _wheel_folder(folder: Path) -> Path:
    """Return the real path of a folder. Raises LockError for a wheel in it that is not a regular file."""
    for wheel in folder.glob("*.whl"):
        try:
            check_regular(wheel)
        except FileNotFoundError:
            continue  # a broken link, which uv ignores
        except OSError as error:
            raise LockError(f"wheel cannot be read: {wheel}: {error.strerror}") from error
    return folder.resolve()


def _indexes(request: ResolveRequest) -> tuple[list[dict[str, object]], dict[str, object]]:
    """Return uv's indexes in the layers' order of priority, and its sources with the layers' package indexes."""
    declared = [_index(request.spec, index) for index in tables(request.spec.uv, "index")]
    names = dict.fromkeys(name for layer in request.layers for name in layer.priority_indexes)
    first = [index for name in names for index in declared if index.get("name") == name]
    for index in first:
        index.pop("explicit", None)
    rest = [index for index in declared if index not in first]
    sources: dict[str, object] = {}
    for layer in request.layers:
        sources = {package: {"index": name} for package, name in layer.package_indexes.items()} | sources
    given = request.spec.uv.get("sources")
    return first + rest, {**(given if isinstance(given, dict) else {}), **sources}


def _index(spec: Spec, index: Mapping[str, object]) -> dict[str, object]:
    """Return an index; its URL may be a folder relative to the spec."""
    url = str(index["url"])
    local = "://" not in url and not Path(url).is_absolute()
    return {**index, "url": str((spec.path.parent / url).resolve()) if local else url}


def dependency_pins(dependencies: Sequence[LockedLayer]) -> Iterator[tuple[str, str]]:
    """Return constraint and env name of each package that the layers below install, the runtime's first.

    The first pin of a package hides later ones with the same marker, and all later ones if it has none: a package that
    is hidden at run time must not constrain.
    """
    hidden: set[tuple[str, str | None]] = set()
    for locked in (*dependencies[-1:], *dependencies[:-1]):
        own = [package for package in locked.packages if not package.shared]
        for package in own:
            if hidden.isdisjoint({(package.name, None), (package.name, package.marker)}):
                yield _pin(package), locked.env_name
        hidden |= {(package.name, package.marker) for package in own}


def pins_on(dependencies: Sequence[LockedLayer], target: Target, python: str) -> dict[str, tuple[str, str]]:
    """Return by package the version that these layers install on a target, and the env name of the first that does."""
    found: dict[str, tuple[str, str]] = {}
    for locked in dependencies:
        for package in locked.packages:
            if not package.shared and holds(package.marker, target, python):
                found.setdefault(package.name, (package.version, locked.env_name))
    return found


def _pin(package: LockedPackage) -> str:
    return f"{package.name}=={package.version}" + (f" ; {package.marker}" if package.marker else "")


def required_name(text: str) -> str:
    """Return the normalised package name of a requirement."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    return canonicalize_name(Requirement(text).name)


def mentions(text: str, package: str) -> bool:
    """Return whether a text mentions a package, and not just a longer name that contains its letters."""
    return re.search(rf"(?<![\w.-]){re.escape(package)}(?![\w-])", text) is not None


def requirements_excluding(layer: Layer, package: str, version: str) -> list[str]:
    """Return the requirements of a layer for a package that do not allow this version."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    asked = ((text, Requirement(text)) for text in layer.requirements)
    return [
        text
        for text, requirement in asked
        if canonicalize_name(requirement.name) == package and not requirement.specifier.contains(version, True)
    ]
