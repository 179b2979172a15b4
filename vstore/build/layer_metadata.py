"""The metadata files of a layer: ``share/vstore/layer.json`` for vstore, and the one for users of venvstacks.

With layer.json, the layers above need not read the tree of a layer. docs/internals/formats.md describes it.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Self

from packaging.utils import canonicalize_name

from vstore.build.clashes import Clash
from vstore.build.layout import LayerLayout
from vstore.build.record_file import read_record_file
from vstore.digest import canonical_json, parse_json
from vstore.documents import Fields
from vstore.errors import StoreError
from vstore.fs.atomic import write_file
from vstore.fs.reading import read_regular
from vstore.objects import LAYER_FILE, Kind
from vstore.python_version import PythonVersion
from vstore.target import Target
from vstore.values import frozen

_VENVSTACKS_FILE = PurePosixPath("share/venv/metadata/venvstacks_layer.json")
_MAX_BYTES = 256 << 20


@frozen
class Distribution:
    """An installed distribution; `name` is normalised (PEP 503), `wheel` is the sha256 of its wheel.

    `owns` is the minimal set of paths that belong to it alone. A folder, with a slash at the end, stands for everything
    in it. The installation folders are never in the set.
    """

    name: str
    version: str
    wheel: str
    owns: tuple[str, ...]

    @property
    def dist_info(self) -> str:
        """The path of its dist-info folder. Raises ValueError if it owns none."""
        for path in self.owns:
            if path.endswith(".dist-info/"):
                folder = path.rstrip("/")
                if canonicalize_name(posixpath.basename(folder).partition("-")[0]) == self.name:
                    return folder
        raise ValueError(f"distribution {self.name} has no dist-info folder")


@frozen
class LayerMetadata:
    """The content of layer.json.

    `own_modules` are the paths of launch and support modules, in the form of `Distribution.owns`. `dynlib_exclude` are
    patterns of libraries that other packages do not find by their plain names.
    """

    name: str
    kind: Kind
    target: Target
    python: PythonVersion
    distributions: tuple[Distribution, ...] = ()
    own_modules: tuple[str, ...] = ()
    launch_module: str | None = None
    dynlib_exclude: tuple[str, ...] = ()
    clashes: tuple[Clash, ...] = ()

    @property
    def layout(self) -> LayerLayout:
        """The layout of the layer."""
        return LayerLayout(target=self.target, python=self.python)

    def sources(self, layer: Path, distribution: Distribution) -> list[PurePosixPath]:
        """Return the Python files of a distribution in site-packages; `layer` is the folder of this layer."""
        inside = self.layout.site_packages + "/"
        found = self.files(layer, distribution)
        return [PurePosixPath(path) for path in found if path.endswith(".py") and path.startswith(inside)]

    def files(self, layer: Path, distribution: Distribution) -> list[str]:
        """Return the files of a distribution by its RECORD, sorted; `layer` is the folder of this layer."""
        return sorted(read_record_file(layer, distribution.dist_info))

    def own_sources(self, layer: Path) -> list[PurePosixPath]:
        """Return the Python files of the launch and support modules."""
        found = (path for module in self.own_modules for path in module_files(layer, module))
        return [PurePosixPath(path) for path in found if path.endswith(".py")]

    def as_json(self) -> dict[str, object]:
        """Return the document of layer.json."""
        return {
            "name": self.name,
            "kind": str(self.kind),
            "python": str(self.python),
            "distributions": [
                {"name": one.name, "version": one.version, "wheel": one.wheel, "owns": list(one.owns)}
                for one in self.distributions
            ],
            "own": list(self.own_modules),
            "launch_module": self.launch_module,
            **({"dynlib_exclude": list(self.dynlib_exclude)} if self.dynlib_exclude else {}),
            "target": str(self.target),
            **({"clashes": [clash.as_json() for clash in self.clashes]} if self.clashes else {}),
        }

    def encode(self) -> bytes:
        """Return the only valid text of layer.json with this content."""
        return canonical_json(self.as_json()) + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read layer.json. Raises ValueError, with the key, for anything that `encode` does not return."""
        document = parse_json(data)
        if not isinstance(document, dict):
            raise ValueError(f"found {document!r}, expected an object")
        launch = _member(document, "launch_module", (str, type(None)))
        assert launch is None or isinstance(launch, str)
        metadata = cls(
            name=_text(document, "name"),
            kind=Kind(_text(document, "kind")),
            python=PythonVersion.parse(_text(document, "python")),
            target=Target(_text(document, "target")),
            distributions=tuple(_distribution(one) for one in _list(document, "distributions")),
            own_modules=tuple(_path(path, "own") for path in _list(document, "own")),
            launch_module=launch,
            dynlib_exclude=tuple(str(one) for one in _list(document, "dynlib_exclude"))
            if "dynlib_exclude" in document
            else (),
            clashes=tuple(read_clash(one) for one in _list(document, "clashes")) if "clashes" in document else (),
        )
        if metadata.encode() != data:
            raise ValueError("not in the form that vstore writes")
        return metadata


def module_files(layer: Path, module: str) -> Iterator[str]:
    """Yield the paths of the files of a launch or support module, without bytecode and links."""
    if not module.endswith("/"):
        yield module
        return
    for folder, folders, files in os.walk(layer / module):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        relative = PurePosixPath(module, *Path(folder).relative_to(layer / module).parts)
        yield from (str(relative / file) for file in sorted(files) if not os.path.islink(os.path.join(folder, file)))


def owner_of(path: str, owners: Mapping[str, str]) -> str | None:
    """Return the owner of a path or of the nearest folder above it, None if there is none.

    `owners` are by path, without a slash at the end.
    """
    while path:
        if path in owners:
            return owners[path]
        path = path.rpartition("/")[0]
    return None


def read_metadata(layer: Path) -> LayerMetadata:
    """Read the metadata of a built layer. Raises StoreError if they are missing or damaged."""
    with _reading(layer):
        return LayerMetadata.parse(read_regular(layer / LAYER_FILE, limit=_MAX_BYTES))


def read_packages(layer: Path) -> list[tuple[str, str]]:
    """Return the name and the version of each distribution in a layer, in a fifth of the time of `read_metadata`.

    Of layer.json no more is checked. Raises StoreError if it is missing or not readable.
    """
    with _reading(layer):
        document = Fields(json.loads(read_regular(layer / LAYER_FILE, limit=_MAX_BYTES)))
        return [(one.text("name"), one.text("version")) for one in document.tables("distributions")]


@contextmanager
def _reading(layer: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"layer {layer.name} has no {LAYER_FILE}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        message = f"damaged {LAYER_FILE} of {layer.name}: {error}"
        raise StoreError(message, hint="run `vstore verify --contents`") from error


def write_metadata(layer: Path, metadata: LayerMetadata) -> None:
    """Write layer.json: the same bytes for the same metadata."""
    path = layer / LAYER_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, metadata.encode(), durable=False)


def write_venvstacks_metadata(layer: Path, metadata: LayerMetadata, interpreter: str) -> None:
    """Write the metadata that programs which embed layers of venvstacks read; `interpreter` is a store path.

    Paths are relative to the layer. The layers below are linked into its site-packages, so `pylib_dirs` and
    `dynlib_dirs` are empty.
    """
    layout = metadata.layout
    document = {
        "python": layout.program,
        "py_version": str(metadata.python),
        "base_python": f"../{interpreter}/{layout.interpreter}",
        "site_dir": layout.site_packages,
        "pylib_dirs": [],
        "dynlib_dirs": [],
    }
    if metadata.kind == Kind.APPLICATION and metadata.launch_module is not None:
        document["launch_module"] = metadata.launch_module
    path = layer / _VENVSTACKS_FILE
    path.parent.mkdir(parents=True)
    write_file(path, (json.dumps(document, indent=2, sort_keys=True) + "\n").encode(), durable=False)


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


def _distribution(document: object) -> Distribution:
    return Distribution(
        name=_text(document, "name"),
        version=_text(document, "version"),
        wheel=_text(document, "wheel"),
        owns=tuple(_path(path, "owns") for path in _list(document, "owns")),
    )


def read_clash(document: object) -> Clash:
    """Read a clash as `Clash.as_json` writes it. Raises ValueError."""
    return Clash(
        path=_text(document, "path"),
        kept=_text(document, "kept"),
        kept_layer=_text(document, "kept_layer"),
        hidden=_text(document, "hidden"),
        hidden_layer=_text(document, "hidden_layer"),
    )
