"""Linking the layers below into a layer: a pure merge of what distributions own, then the links.

The merge gives what one virtual environment with the same distributions would hold. A distribution in a nearer layer
hides the same one farther away (C3 order), wholly. Different distributions are merged file by file; where they have
different files at one path, the nearest is there and the clash is recorded. A folder with one owner becomes one link,
straight to that owner; a folder with several is opened. Only facts and opened folders are read, so the cost does not
depend on how large the layers below are.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, Protocol

from vstore.build.clashes import Clash
from vstore.build.layer_metadata import Distribution, LayerMetadata
from vstore.build.layout import CODE, Layout
from vstore.fs.links import make_link
from vstore.values import frozen

OWN = 0  # the number of the layer itself; the layers below are 1, 2, …, nearest first
Dependency = tuple[str, Path, LayerMetadata]


class Trees(Protocol):
    """The folders of the layers, by number."""

    def entries(self, layer: int, folder: str) -> Mapping[str, bool]:
        """Name → whether it is a folder; empty if there is no such folder."""

    def same(self, one: Leaf, other: Leaf) -> bool:
        """Whether two files have the same bytes."""


class Leaf(NamedTuple):
    """A file, or a folder with everything in it, that one distribution of one layer offers."""

    layer: int
    distribution: str
    path: str
    is_folder: bool


class Link(NamedTuple):
    """`path` in the layer points to `target` in the layer below of number `layer`."""

    path: str
    layer: int
    target: str


Folder = dict[str, "Node"]
Node = Leaf | Folder


@frozen
class LinkPlan:
    """The links, sorted; `own` are the layer's facts without the folders that others now share, with all clashes."""

    links: tuple[Link, ...]
    own: LayerMetadata

    @property
    def folders(self) -> tuple[str, ...]:
        return tuple(sorted({posixpath.dirname(link.path) for link in self.links}))


def visible(own: LayerMetadata, dependencies: Iterable[LayerMetadata]) -> list[tuple[int, Distribution]]:
    """The distributions of the layers below that no nearer layer hides, with their layer's number."""
    seen = {one.name for one in own.distributions}
    found = []
    for number, facts in enumerate(dependencies, start=1):
        found += [(number, one) for one in facts.distributions if one.name not in seen]
        seen |= {one.name for one in facts.distributions}
    return found


def plan_links(own: LayerMetadata, dependencies: Sequence[LayerMetadata], trees: Trees) -> LinkPlan:
    """Decide which links make the layers below visible."""
    merge = _Merge(own.layout, trees)
    shown = [(OWN, one) for one in own.distributions] + visible(own, dependencies)
    offers = [(number, one.name, one.owns) for number, one in shown]
    offers += [(number, "", facts.own) for number, facts in enumerate((own, *dependencies))]
    for number, distribution, owns in sorted(offers, key=itemgetter(0)):
        merge.offer(number, distribution, owns)
    layers = [own.name, *(facts.name for facts in dependencies)]
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
        own=merge.still_owned("", own.own),
        clashes=tuple(sorted(clashes)),
    )
    return LinkPlan(links=merge.links(), own=refined)


def _within_layers(
    own: LayerMetadata, dependencies: Sequence[LayerMetadata], shown: set[tuple[str, str]]
) -> set[Clash]:
    """The clashes of one layer's distributions among themselves, of those that are shown."""
    return {
        one
        for facts in (own, *dependencies)
        for one in facts.clashes
        if one.kept_layer == one.hidden_layer == facts.name
        and {(facts.name, one.kept), (facts.name, one.hidden)} <= shown
    }


class _Merge:
    """The tree as merged so far; `clashes` are pairs of what is there and what is not."""

    def __init__(self, layout: Layout, trees: Trees) -> None:
        self.site = layout.site + "/"
        self.trees = trees
        self.root: Folder = {}
        self.clashes: list[tuple[Leaf, Leaf]] = []
        self._scripts = (f"{layout.scripts}/", f"{CODE}/")
        self._tag = layout.tag

    def offer(self, layer: int, distribution: str, owns: Sequence[str]) -> None:
        """Take in what a distribution owns, except scripts and files for which there is a nearer one."""
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
        """The paths that are still wholly the distribution's, now that some folders are shared."""
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
        """A link for each thing from below, and for the bytecode of each module that is linked alone."""
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
        cached = f"{name.removesuffix('.py')}.{self._tag}.pyc"
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


class _Disk:
    """The real folders; each is listed once."""

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
    """The text of a link at `path` in one object to `target` in another."""
    return "../" * (path.count("/") + 1) + f"{store_path}/{target}"


def link_dependencies(layer_dir: Path, own: LayerMetadata, dependencies: Sequence[Dependency]) -> LayerMetadata:
    """Link everything visible of `dependencies` (nearest first) into the layer, except scripts.

    Returns the layer's facts, to be written instead of `own`: folders that the layer now
    shares with others are no longer wholly its distributions'.
    """
    trees = _Disk([layer_dir, *(folder for _, folder, _ in dependencies)])
    plan = plan_links(own, [facts for _, _, facts in dependencies], trees)
    make_links(layer_dir, plan.folders, plan.links, dependencies)
    return plan.own


def make_links(
    layer_dir: Path, folders: Iterable[str], links: Iterable[Link], dependencies: Sequence[Dependency]
) -> None:
    """Make folders and relative links; what a folder on the way may be is never a link itself."""
    for folder in folders:
        os.makedirs(layer_dir / folder, exist_ok=True)
    for path, number, target in links:
        store_path, dependency, _ = dependencies[number - 1]
        is_folder = os.name == "nt" and (dependency / target).is_dir()
        make_link(layer_dir / path, relative_target(path, store_path, target), folder=is_folder)
