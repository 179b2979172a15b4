"""The throw-away uv project in which one layer is resolved."""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vstore.errors import LockError
from vstore.fs.reading import check_regular
from vstore.lock.markers import environment_marker
from vstore.lock.model import LockedLayer, LockedPackage, PythonForLocking
from vstore.spec import Layer, Spec
from vstore.uv import Uv

_PROJECT_ONLY = {  # uv refuses these in a uv.toml
    *("sources", "workspace", "conflicts", "managed", "package", "build-backend"),
    *("default-groups", "dependency-groups", "dev-dependencies", "environments", "required-environments"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What uv is asked: a layer over the locks of those below it, nearest first.

    `above` are layers that it shall also suit: what they require takes part in the resolution, not in the answer.
    `pins` are further constraints. Unless `strict`, uv does not insist on wheels for every target.
    """

    spec: Spec
    layer: Layer
    lowers: Sequence[LockedLayer]
    python: PythonForLocking
    local_wheels: Sequence[Path] = ()
    index: bool = True
    above: Sequence[Layer] = ()
    pins: Sequence[str] = ()
    strict: bool = True


def project_name(layer: Layer) -> str:
    """The name by which uv speaks of the layer."""
    return "vstore-layer-" + "".join(one if one.isalnum() else "-" for one in layer.env_name).strip("-")


def resolve(question: Question, uv: Uv, keep: Mapping[str, str]) -> dict[str, Any]:
    """uv's answer as a PEP 751 document; the versions in `keep` are preferred where they fit. Raises UvFailed.

    uv's settings come from a file of our own, so that those of this user or machine play no part.
    """
    import tomli_w

    with tempfile.TemporaryDirectory(prefix="vstore-lock-") as folder:
        project = Path(folder)
        table = _settings(question)
        settings = dict(uv.settings) | {key: value for key, value in table.items() if key not in _PROJECT_ONLY}
        (project / "pyproject.toml").write_text(tomli_w.dumps(_project(question, table)), encoding="utf-8")
        (project / "settings.toml").write_text(tomli_w.dumps(settings), encoding="utf-8")
        if keep:
            (project / "uv.lock").write_text(tomli_w.dumps(_preferences(question, keep)), encoding="utf-8")
        common: list[str | Path] = ["--config-file", project / "settings.toml", "--project", project]
        common += ["--python", question.python.path, "--no-python-downloads"]
        export = ["--format", "pylock.toml", "--locked", "--no-emit-project", "--no-default-groups", "--no-header"]
        doing = f"resolving layer {question.layer.env_name}"
        uv.run(["lock", *common], cwd=project, doing=doing)
        return tomllib.loads(uv.run(["export", *common, *export], cwd=project, doing=doing))


def _project(question: Question, table: Mapping[str, Any]) -> dict[str, Any]:
    project: dict[str, Any] = {
        "project": {
            "name": project_name(question.layer),
            "version": "0",
            "requires-python": f"=={question.python.pin.minor}.*",
            "dependencies": list(question.layer.requirements),
        },
        "tool": {"uv": table},
    }
    if question.above:
        project["dependency-groups"] = {
            "above": [text for layer in question.above for text in _scoped(layer, question.layer)]
        }
    return project


def _scoped(layer: Layer, asked: Layer) -> Iterable[str]:
    """A layer's requirements, on its own targets only where these are fewer."""
    if set(asked.targets) <= set(layer.targets):
        return layer.requirements
    return _with_targets(layer)


def _with_targets(layer: Layer) -> Iterator[str]:
    from packaging.requirements import Requirement

    targets = " or ".join(f"({environment_marker(target)})" for target in layer.targets)
    for text in layer.requirements:
        requirement = Requirement(text)
        own = f"({requirement.marker}) and " if requirement.marker else ""
        requirement.marker = None
        yield f"{requirement} ; {own}({targets})"


def _preferences(question: Question, keep: Mapping[str, str]) -> dict[str, Any]:
    """An earlier ``uv.lock``, as far as uv asks it for preferred versions; it never looks at the registry named."""
    packages = [
        {"name": name, "version": version, "source": {"registry": "https://preferred.invalid/simple"}}
        for name, version in sorted(keep.items())
    ]
    modes = {"resolution": "resolution-mode", "prerelease": "prerelease-mode", "fork-strategy": "fork-strategy"}
    options = {mode: question.spec.uv[key] for key, mode in modes.items() if key in question.spec.uv}
    minor = question.python.pin.minor
    return {"version": 1, "requires-python": f"=={minor}.*", "options": options, "package": packages}


def _settings(question: Question) -> dict[str, Any]:
    spec = question.spec
    given: dict[str, Any] = dict(spec.uv)
    table = {key: value for key, value in given.items() if key not in ("sources", "index")}
    indexes, sources = _indexes(question, given)
    wheels = [str(_wheel_folder(folder)) for folder in question.local_wheels]
    named = _named_by_url(question)
    lower = [named.get(pin.partition("==")[0], pin) for pin, _ in lower_pins(question.lowers)]
    pins = [*lower, *question.pins]
    table |= {
        "no-build": True,
        "package": False,
        "constraint-dependencies": [*table.get("constraint-dependencies", []), *pins],
    }
    table.pop("environments", None)
    if question.strict:
        table["environments"] = [environment_marker(target) for target in question.layer.targets]
    if wheels or table.get("find-links"):
        table["find-links"] = [*(_find_links(spec, one) for one in table.get("find-links", [])), *wheels]
    if not question.index:
        table["no-index"] = True
    if indexes:
        table["index"] = indexes
    if sources:
        table["sources"] = sources
    return table


def _named_by_url(question: Question) -> dict[str, str]:
    """The requirements of lower layers that name a wheel by its URL, where no index would find it."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    layers = [question.spec.layer(locked.env_name) for locked in question.lowers]
    found = [Requirement(text) for layer in layers for text in layer.requirements if "@" in text]
    return {canonicalize_name(one.name): str(one) for one in found if one.url is not None}


def _find_links(spec: Spec, place: str) -> str:
    """A folder is meant relative to the spec, not to the throw-away project."""
    return place if "://" in place else str(_wheel_folder(spec.path.parent / place))


def _wheel_folder(folder: Path) -> Path:
    """The real path of a folder. Raises LockError for a wheel in it with which uv would wait, or read without end."""
    for wheel in folder.glob("*.whl"):
        try:
            check_regular(wheel)
        except FileNotFoundError:
            continue  # a link to nothing, which uv leaves out
        except OSError as error:
            raise LockError(f"wheel cannot be read: {wheel}: {error.strerror}") from error
    return folder.resolve()


def _indexes(question: Question, given: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """uv's indexes with the layers' priorities, and sources with the layers' package indexes, lower ones first."""
    layers = [question.layer, *question.above]
    declared = [_index(question.spec, index) for index in given.get("index", [])]
    names = dict.fromkeys(name for layer in layers for name in layer.priority_indexes)
    first = [index for name in names for index in declared if index.get("name") == name]
    for index in first:
        index.pop("explicit", None)
    rest = [index for index in declared if index not in first]
    sources: dict[str, Any] = {}
    for layer in layers:
        sources = {package: {"index": name} for package, name in layer.package_indexes.items()} | sources
    return first + rest, dict(given.get("sources", {})) | sources


def _index(spec: Spec, index: Mapping[str, Any]) -> dict[str, Any]:
    """A flat index may be a folder beside the spec."""
    url = str(index["url"])
    local = "://" not in url and not Path(url).is_absolute()
    return {**index, "url": str((spec.path.parent / url).resolve()) if local else url}


def lower_pins(lowers: Sequence[LockedLayer]) -> Iterator[tuple[str, str]]:
    """(constraint, env name) of what the layers below install themselves, the runtime first.

    The first pin of a name hides later ones under the same condition, and all later ones if it has none: what is
    shadowed must not constrain.
    """
    hidden: set[tuple[str, str | None]] = set()
    for locked in (*lowers[-1:], *lowers[:-1]):
        own = [package for package in locked.packages if not package.shared]
        for package in own:
            if hidden.isdisjoint({(package.name, None), (package.name, package.marker)}):
                yield _pin(package), locked.env_name
        hidden |= {(package.name, package.marker) for package in own}


def _pin(package: LockedPackage) -> str:
    return f"{package.name}=={package.version}" + (f" ; {package.marker}" if package.marker else "")


def names(text: str, package: str) -> bool:
    """Whether a text speaks of a package, and not just of a word or a longer name that holds its letters."""
    return re.search(rf"(?<![\w.-]){re.escape(package)}(?![\w-])", text) is not None
