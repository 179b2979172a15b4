"""Link the layers below into a layer: first a pure merge of the paths that distributions own, then the links.

The result has the content of one virtual environment with the same distributions. A distribution of a nearer layer
hides the same one of a farther layer (C3 order), wholly. Different distributions are merged file by file. Where they
have different files at one path, the nearest one is there and the clash is recorded. A folder with one owner becomes
one link, directly to that owner; a folder with several owners becomes a real folder. Only metadata and such folders
are read, so the cost does not depend on the size of the layers below.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from vstore.build.clashes import Clash
from vstore.build.layer_metadata import Distribution, LayerMetadata, read_metadata
from vstore.build.layout import CODE, LayerLayout
from vstore.fs.links import make_link
from vstore.values import frozen

OWN = 0  # the number of the layer itself; the layers below are 1, 2, …, nearest first


class Dependency(NamedTuple):
    """A layer below: its store path, the folder of its object, and its metadata."""

    store_path: str
    folder: Path
    metadata: LayerMetadata

    @classmethod
    def read(cls, store_path: str, folder: Path) -> Self:
        """Read the metadata of a layer. Raises StoreError if they are missing or damaged."""
        return cls(store_path, folder, read_metadata(folder))


class Trees(Protocol):
    """The folders of the layers, by number."""

    def entries(self, layer: int, folder: str) -> Mapping[str, bool]:
        """Return the names in a folder, and whether each is a folder; empty if there is no such folder."""

    def same(self, one: Leaf, other: Leaf) -> bool:
        """Whether two files have the same bytes."""


class Leaf(NamedTuple):
    """A file, or a folder with everything in it, of one distribution of one layer."""

    layer: int
    distribution: str
    path: str
    is_folder: bool


class Link(NamedTuple):
    """A link at `path` in the layer to `target` in the layer below with number `layer`."""

    path: str
    layer: int
    target: str


Folder = dict[str, "Node"]
Node = Leaf | Folder


@frozen
class LinkPlan:
    """The links, sorted, and the metadata of the layer with them.

    In the metadata a distribution no longer owns the folders that it now shares, and all clashes are listed.
    """

    links: tuple[Link, ...]
    metadata: LayerMetadata

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of the links, sorted."""
        return tuple(sorted({posixpath.dirname(link.path) for link in self.links}))


def visible_distributions(own: LayerMetadata, dependencies: Iterable[LayerMetadata]) -> list[tuple[int, Distribution]]:
    """Return the distributions of the layers below that no nearer layer hides, with the numbers of their layers."""
    seen = {one.name for one in own.distributions}
    found = []
    for number, metadata in enumerate(dependencies, start=1):
        found += [(number, one) for one in metadata.distributions if one.name not in seen]
        seen |= {one.name for one in metadata.distributions}
    return found


def plan_links(own: LayerMetadata, dependencies: Sequence[LayerMetadata], trees: Trees) -> LinkPlan:
    """Plan the links to the files of the layers below, nearest first in `dependencies`.

    Scripts are left out: `write_scripts` writes them.
    """
    merge = _Merge(own.layout, trees)
    shown = [(OWN, one) for one in own.distributions] + visible_distributions(own, dependencies)
    owners = [(number, one.name, one.owns) for number, one in shown]
    owners += [(number, "", metadata.own_modules) for number, metadata in enumerate((own, *dependencies))]
    for number, distribution, owns in sorted(owners, key=itemgetter(0)):
        merge.add(number, distribution, owns)
    layers = [own.name, *(metadata.name for metadata in dependencies)]
    clashes = {
        Clash(
            path=kept.path,
            kept=kept.distribution,
            kept_layer=layers[kept.layer],
            hidden=hidden.distribution,
            hidden_layer=layers[hidden.layer],
        )
        for kept, hidden in merge.clashes
    }
    whose = {(layers[number], one.name) for number, one in shown}
    clashes |= _within_layers(own, dependencies, whose | {(layer, "") for layer in layers})
    refined = replace(
        own,
        distributions=tuple(replace(one, owns=merge.still_owned(one.name, one.owns)) for one in own.distributions),
        own_modules=merge.still_owned("", own.own_modules),
        clashes=tuple(sorted(clashes)),
    )
    return LinkPlan(links=merge.links(), metadata=refined)


def _within_layers(
    own: LayerMetadata, dependencies: Sequence[LayerMetadata], shown: set[tuple[str, str]]
) -> set[Clash]:
    """Return the clashes of visible distributions within one layer."""
    return {
        one
        for metadata in (own, *dependencies)
        for one in metadata.clashes
        if one.kept_layer == one.hidden_layer == metadata.name
        and {(metadata.name, one.kept), (metadata.name, one.hidden)} <= shown
    }


class _Merge:
    """The tree as merged so far. `clashes` are pairs: the file that is in the tree, and the hidden one."""

    def __init__(self, layout: LayerLayout, trees: Trees) -> None:
        self.site = layout.site_packages + "/"
        self.trees = trees
        self.root: Folder = {}
        self.clashes: list[tuple[Leaf, Leaf]] = []
        self._scripts = (f"{layout.scripts}/", f"{CODE}/")
        self._cache_tag = layout.python.cache_tag

    def add(self, layer: int, distribution: str, owns: Sequence[str]) -> None:
        """Add the paths of a distribution, except scripts and files for which there is a nearer one."""
        for path in owns:
            if not path.startswith(self._scripts):
                self._place(Leaf(layer, distribution, *_split_kind(path)))

    def _place(self, leaf: Leaf) -> None:
        *folders, name = leaf.path.split("/")
        here = self.root
        for folder in folders:
            there = here.setdefault(folder, {})
            if isinstance(there, Leaf) and not there.is_folder:
                self.clashes.append((there, leaf))
                return
            opened = self._children(there)
            here[folder] = opened
            here = opened
        metadata = leaf.layer != OWN and name.endswith(".dist-info") and leaf.path.startswith(self.site)
        self._merge(here, name, self._children(leaf) if metadata else leaf)

    def _merge(self, folder: Folder, name: str, new: Node) -> None:
        old = folder.get(name)
        if not old:
            folder[name] = new
        elif _is_file(old) or _is_file(new):
            self._compare(old, new)
        else:
            folder[name] = merged = self._children(old)
            for child_name, child in self._children(new).items():
                self._merge(merged, child_name, child)

    def _compare(self, old: Node, new: Node) -> None:
        """Record a clash, unless the two are equal files."""
        if isinstance(old, Leaf) and isinstance(new, Leaf) and self._equal(old, new):
            return
        (kept, *_), (hidden, *_) = _leaves(old), _leaves(new)
        at = min(kept.path, hidden.path, key=len)  # of a file and a folder, the file's
        self.clashes.append((kept._replace(path=at), hidden))

    def _equal(self, one: Leaf, other: Leaf) -> bool:
        if one.is_folder or other.is_folder:
            return False
        return (one.layer, one.path) == (other.layer, other.path) or self.trees.same(one, other)

    def _children(self, node: Node) -> Folder:
        if not isinstance(node, Leaf):
            return node
        found = self.trees.entries(node.layer, node.path)
        return {
            name: Leaf(node.layer, node.distribution, f"{node.path}/{name}", is_folder)
            for name, is_folder in sorted(found.items())
            if name != "__pycache__"
        }

    def still_owned(self, distribution: str, owns: Sequence[str]) -> tuple[str, ...]:
        """Return the paths that still belong to a distribution alone, now that some folders are shared."""
        kept: list[str] = []
        for path in owns:
            node: Node | None = self.root
            for part in path.rstrip("/").split("/"):
                node = node.get(part) if isinstance(node, dict) else None
            if isinstance(node, dict):
                own = (leaf for leaf in _leaves(node) if leaf.layer == OWN and leaf.distribution == distribution)
                kept += (leaf.path + "/" * leaf.is_folder for leaf in own)
            else:
                kept.append(path)
        return tuple(sorted(kept))

    def links(self) -> tuple[Link, ...]:
        """Return a link for each file or folder from below, and for the bytecode of modules that are linked alone."""
        found = []
        for leaf in _leaves(self.root):
            if leaf.layer == OWN:
                continue
            found.append(Link(leaf.path, leaf.layer, leaf.path))
            if leaf.path.endswith(".py") and not leaf.is_folder and leaf.path.startswith(self.site):
                found += (Link(path, leaf.layer, path) for path in self._bytecode(leaf))
        return tuple(sorted(found))

    def _bytecode(self, leaf: Leaf) -> list[str]:
        folder, _, name = leaf.path.rpartition("/")
        cached = f"{name.removesuffix('.py')}.{self._cache_tag}.pyc"
        cache = f"{folder}/__pycache__"
        return [f"{cache}/{cached}"] if cached in self.trees.entries(leaf.layer, cache) else []


def _split_kind(path: str) -> tuple[str, bool]:
    return path.rstrip("/"), path.endswith("/")


def _leaves(node: Node) -> list[Leaf]:
    if isinstance(node, Leaf):
        return [node]
    return [leaf for child in node.values() for leaf in _leaves(child)]


def _is_file(node: Node) -> bool:
    return isinstance(node, Leaf) and not node.is_folder


class _LayerFolders:
    """The real folders of the layers. Each folder is listed once."""

    def __init__(self, layers: Sequence[Path]) -> None:
        self._layers = layers
        self._known: dict[tuple[int, str], dict[str, bool]] = {}

    def entries(self, layer: int, folder: str) -> Mapping[str, bool]:
        key = (layer, folder)
        if key not in self._known:
            try:
                with os.scandir(self._layers[layer] / folder) as found:
                    self._known[key] = {entry.name: entry.is_dir(follow_symlinks=False) for entry in found}
            except (FileNotFoundError, NotADirectoryError):
                self._known[key] = {}
        return self._known[key]

    def same(self, one: Leaf, other: Leaf) -> bool:
        left, right = (self._layers[leaf.layer] / leaf.path for leaf in (one, other))
        return left.stat().st_size == right.stat().st_size and left.read_bytes() == right.read_bytes()


def relative_target(path: str, store_path: str, target: str) -> str:
    """Return the text of a link at `path` in one object to `target` in another object."""
    return "../" * (path.count("/") + 1) + f"{store_path}/{target}"


def link_dependencies(layer_dir: Path, own: LayerMetadata, dependencies: Sequence[Dependency]) -> LayerMetadata:
    """Link the visible content of `dependencies` (nearest first) into the layer, except scripts.

    Return the metadata of the layer, to be written instead of `own`: it does not own the folders that it now shares.
    """
    trees = _LayerFolders([layer_dir, *(one.folder for one in dependencies)])
    plan = plan_links(own, [one.metadata for one in dependencies], trees)
    create_links(layer_dir, plan, dependencies)
    return plan.metadata


def create_links(layer_dir: Path, plan: LinkPlan, dependencies: Sequence[Dependency]) -> None:
    """Create the folders and the relative links of a plan."""
    for folder in plan.folders:
        os.makedirs(layer_dir / folder, exist_ok=True)
    for path, number, target in plan.links:
        dependency = dependencies[number - 1]
        is_folder = os.name == "nt" and (dependency.folder / target).is_dir()
        make_link(layer_dir / path, relative_target(path, dependency.store_path, target), folder=is_folder)
