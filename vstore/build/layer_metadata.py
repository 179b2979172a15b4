"""What a layer says of itself in share/vstore/layer.json, so that the layers above need not read its tree.

`owns` of a distribution is the minimal set of layer-relative paths that are wholly its own: a folder
(written with a slash at the end) stands for everything in it, the installation folders themselves
are never among them. See docs/formats.md.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Self

from vstore.build.clashes import Clash
from vstore.build.layout import Layout
from vstore.build.record import read_record
from vstore.digest import canonical_json, parse_json
from vstore.errors import BuildError, StoreError
from vstore.fs.atomic import write_file
from vstore.fs.reading import read_regular
from vstore.lock.model import PinnedWheel
from vstore.objects import LAYER_FILE, Kind
from vstore.target import Target
from vstore.values import frozen

_MAX_BYTES = 256 << 20
_PYTHON = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}((a|b|rc)[0-9]{1,3})?")
FACTS = LAYER_FILE
_Owners = dict[str, "_Owners | list[str]"]


@frozen
class Distribution:
    """An installed distribution; `name` is normalised (PEP 503), `wheel` the sha256 of its wheel."""

    name: str
    version: str
    wheel: str
    owns: tuple[str, ...]

    @property
    def info(self) -> str:
        """The path of its dist-info folder; ValueError if it owns none."""
        for path in self.owns:
            if path.endswith(".dist-info/"):
                folder = path.rstrip("/")
                if normalise(posixpath.basename(folder).partition("-")[0]) == self.name:
                    return folder
        raise ValueError(f"distribution {self.name} has no dist-info folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMetadata:
    """`own` are the paths of launch and support modules, written like `Distribution.owns`.

    `dynlib_exclude` are patterns of libraries that are not offered to other packages by their plain names.
    """

    name: str
    kind: Kind
    python: str
    distributions: tuple[Distribution, ...] = ()
    own: tuple[str, ...] = ()
    launch_module: str | None = None
    dynlib_exclude: tuple[str, ...] = ()
    target: Target = field(default_factory=Target.host)
    clashes: tuple[Clash, ...] = ()

    @property
    def layout(self) -> Layout:
        return Layout(target=self.target, python=self.python)

    @property
    def site(self) -> str:
        """The path of site-packages in the layer."""
        return self.layout.site

    def sources(self, layer: Path, distribution: Distribution) -> list[PurePosixPath]:
        """The Python files of a distribution in site-packages; `layer` is the folder of this layer."""
        inside = self.site + "/"
        found = self.files(layer, distribution)
        return [PurePosixPath(path) for path in found if path.endswith(".py") and path.startswith(inside)]

    def files(self, layer: Path, distribution: Distribution) -> list[str]:
        """The files of a distribution as its RECORD tells, sorted; `layer` is the folder of this layer."""
        return sorted(read_record(layer, distribution.info))

    def own_sources(self, layer: Path) -> list[PurePosixPath]:
        """The Python files of the launch and support modules."""
        return [PurePosixPath(path) for one in self.own for path in _own_files(layer, one) if path.endswith(".py")]

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "kind": str(self.kind),
            "python": self.python,
            "distributions": [
                {"name": one.name, "version": one.version, "wheel": one.wheel, "owns": list(one.owns)}
                for one in self.distributions
            ],
            "own": list(self.own),
            "launch_module": self.launch_module,
            **({"dynlib_exclude": list(self.dynlib_exclude)} if self.dynlib_exclude else {}),
            "target": str(self.target),
            **({"clashes": [clash.as_json() for clash in self.clashes]} if self.clashes else {}),
        }

    def encode(self) -> bytes:
        """Return the one text of layer.json for these facts."""
        return canonical_json(self.as_json()) + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read layer.json; ValueError, with the key path, if it is not what `encode` gives."""
        document = parse_json(data)
        if not isinstance(document, dict):
            raise ValueError(f"found {document!r}, expected an object")
        launch = _member(document, "launch_module", (str, type(None)))
        assert launch is None or isinstance(launch, str)
        facts = cls(
            name=_text(document, "name"),
            kind=Kind(_text(document, "kind")),
            python=_version(_text(document, "python")),
            target=Target(_text(document, "target")),
            distributions=tuple(_distribution(one) for one in _list(document, "distributions")),
            own=tuple(_path(path, "own") for path in _list(document, "own")),
            launch_module=launch,
            dynlib_exclude=tuple(str(one) for one in _list(document, "dynlib_exclude"))
            if "dynlib_exclude" in document
            else (),
            clashes=tuple(_clash(one) for one in _list(document, "clashes")) if "clashes" in document else (),
        )
        if facts.encode() != data:
            raise ValueError("not as vstore writes it")
        return facts


def normalise(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_facts(layer: Path) -> LayerMetadata:
    """The facts of a built layer; StoreError if they are missing or damaged."""
    try:
        return LayerMetadata.parse(read_regular(layer / FACTS, limit=_MAX_BYTES))
    except OSError as error:
        raise StoreError(f"no facts of layer {layer.name}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"damaged {FACTS} of {layer.name}: {error}", hint="run `vstore verify --contents`") from error


def write_facts(layer: Path, facts: LayerMetadata) -> None:
    """Write share/vstore/layer.json, the same bytes for the same facts."""
    path = layer / FACTS
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, facts.encode(), durable=False)


def collect_facts(
    layer: Path,
    *,
    name: str,
    kind: Kind,
    layout: Layout,
    wheels: Sequence[PinnedWheel],
    own: Sequence[PurePosixPath],
    launch_module: str | None = None,
    dynlib_exclude: tuple[str, ...] = (),
    clashes: Iterable[Clash] = (),
) -> LayerMetadata:
    """Find who owns what in a layer that has its own files and no links yet.

    Raises BuildError when a distribution is not there, or has a file where an own module is.
    """
    site = layout.site
    infos = find_infos(layer / site)
    tree: _Owners = {}
    for wheel in wheels:
        if wheel.name not in infos:
            raise BuildError(f"{wheel.filename} did not install a distribution named {wheel.name}")
        for path in read_record(layer, f"{site}/{infos[wheel.name]}"):
            _add_owner(tree, path, wheel.name)
    modules = [f"{path}/" if (layer / path).is_dir() else str(path) for path in own]
    for module in modules:
        for path in _own_files(layer, module):
            _add_owner(tree, path, "")
    owns: dict[str, list[str]] = {}
    _minimal(tree, "", layout.folders, owns)
    for module in modules:
        _refuse_shared(module, owns)
    return LayerMetadata(
        name=name,
        kind=kind,
        python=layout.python,
        target=layout.target,
        distributions=tuple(
            Distribution(name=w.name, version=w.version, wheel=w.sha256, owns=tuple(sorted(owns[w.name])))
            for w in sorted(wheels, key=lambda wheel: wheel.name)
        ),
        own=tuple(sorted(modules)),
        launch_module=launch_module,
        dynlib_exclude=dynlib_exclude,
        clashes=tuple(sorted(clashes)),
    )


def find_infos(site: Path) -> dict[str, str]:
    """Normalised distribution name → name of its dist-info folder."""
    names = sorted(entry.name for entry in os.scandir(site)) if site.is_dir() else []
    return {normalise(name.partition("-")[0]): name for name in names if name.endswith(".dist-info")}


def _own_files(layer: Path, own: str) -> Iterator[str]:
    if not own.endswith("/"):
        yield own
        return
    for folder, folders, files in os.walk(layer / own):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        relative = PurePosixPath(own, *Path(folder).relative_to(layer / own).parts)
        yield from (str(relative / file) for file in sorted(files) if not os.path.islink(os.path.join(folder, file)))


def _add_owner(tree: _Owners, path: str, owner: str) -> None:
    *folders, name = path.split("/")
    for folder in folders:
        child = tree.setdefault(folder, {})
        if isinstance(child, list):
            raise BuildError(f"{path} and {folder} cannot both be files")
        tree = child
    owners = tree.setdefault(name, [])
    if isinstance(owners, dict):
        raise BuildError(f"{path} cannot be a file and a folder")
    if owner not in owners:
        owners.append(owner)


def _minimal(tree: _Owners, prefix: str, kept: frozenset[str], owns: dict[str, list[str]]) -> str | None:
    """The one owner of the whole folder; None if there are several, whose shares are then in `owns`."""
    single: dict[str, str] = {}
    mixed = prefix.rstrip("/") in kept
    for name, child in tree.items():
        path = prefix + name
        if isinstance(child, dict):
            owner = _minimal(child, path + "/", kept, owns)
            path += "/"
        else:
            owner = child[0] if len(child) == 1 else None
            for one in child if owner is None else ():
                owns.setdefault(one, []).append(path)
        if owner is None:
            mixed = True
        else:
            single[path] = owner
    if not mixed and len(set(single.values())) == 1:
        return next(iter(single.values()))
    for path, owner in single.items():
        owns.setdefault(owner, []).append(path)
    return None


def _refuse_shared(module: str, owns: Mapping[str, Sequence[str]]) -> None:
    bare = module.rstrip("/")
    for name, paths in owns.items():
        if name and any(path.rstrip("/") == bare or path.startswith(bare + "/") for path in paths):
            raise BuildError(f"{posixpath.basename(bare)} is a module of this layer and of distribution {name} too")


def _member(document: object, key: str, kind: type | tuple[type, ...]) -> object:
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"{key}: found {value!r}")
    return value


def _text(document: object, key: str) -> str:
    value = _member(document, key, str)
    assert isinstance(value, str)
    return value


def _list(document: object, key: str) -> list[object]:
    value = _member(document, key, list)
    assert isinstance(value, list)
    return value


def _path(value: object, key: str) -> str:
    parts = value.removesuffix("/").split("/") if isinstance(value, str) else [""]
    if not isinstance(value, str) or "\0" in value or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{key}: unsafe path {value!r}")
    return value


def _version(text: str) -> str:
    """The version of a CPython, from which paths are made."""
    if not _PYTHON.fullmatch(text):
        raise ValueError(f"python: not a version: {text!r}")
    return text


def _distribution(document: object) -> Distribution:
    return Distribution(
        name=_text(document, "name"),
        version=_text(document, "version"),
        wheel=_text(document, "wheel"),
        owns=tuple(_path(path, "owns") for path in _list(document, "owns")),
    )


def _clash(document: object) -> Clash:
    return Clash(
        path=_text(document, "path"),
        kept=_text(document, "kept"),
        kept_layer=_text(document, "kept_layer"),
        hidden=_text(document, "hidden"),
        hidden_layer=_text(document, "hidden_layer"),
    )
