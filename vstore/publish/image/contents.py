"""The contents of images: which objects, in which order, and the program that starts."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from vstore.build.layer_metadata import read_metadata
from vstore.build.scripts.posix import layer_program
from vstore.errors import UsageError, suggestion
from vstore.graph import inverted
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.oci import ImagePlatform
from vstore.profile import StackLayer, read_stack
from vstore.publish.image.model import BaseNeeds, image_platform
from vstore.publish.image.needs import base_needs
from vstore.store import Store
from vstore.target import Target
from vstore.values import frozen

MAX_LAYERS = 127  # of an overlay file system: Linux, fs/overlayfs
_LAYERS = (Kind.RUNTIME, Kind.FRAMEWORK, Kind.APPLICATION)
_RANKS = {kind: rank for rank, kind in enumerate((Kind.INTERPRETER, *_LAYERS, Kind.STACK))}


@frozen
class ImageContents:
    """The objects of an image, lowest first, below which are the `tops` that were requested.

    `entrypoint` is the command line that starts it, `search_path` the folders that come first on PATH.
    """

    name: str
    platform: ImagePlatform
    tops: tuple[StorePath, ...]
    objects: tuple[ObjectInfo, ...]
    entrypoint: tuple[str, ...]
    search_path: tuple[str, ...]
    needs: BaseNeeds = BaseNeeds()


def image_contents(store: Store, tops: Iterable[StorePath], entrypoint: str | None) -> tuple[ImageContents, ...]:
    """Return the contents of an image for each platform that the objects are for, in the order of the platforms.

    `entrypoint` names the layer that starts, None for the only application. Raises UsageError for objects that no image
    can have, and if it is not clear which application starts.
    """
    by_target: dict[Target, list[StorePath]] = {}
    for path in tops:
        by_target.setdefault(_target(store, path), []).append(path)
    return tuple(_of_platform(store, target, found, entrypoint) for target, found in sorted(by_target.items()))


def _of_platform(store: Store, target: Target, tops: Sequence[StorePath], entrypoint: str | None) -> ImageContents:
    platform = image_platform(target)
    if platform is None:
        raise UsageError(
            f"no image for {target}: containers of images run Linux", hint="`vstore publish` writes archives"
        )
    objects = lowest_first(store.objects.closure_infos(tops))
    if len(objects) > MAX_LAYERS:
        raise UsageError(f"{len(objects)} objects: an image has at most {MAX_LAYERS} layers")
    layers = [layer for top in tops for layer in _layers(store, top)]
    chosen = _chosen(layers, entrypoint)
    metadata = read_metadata(store.layout.object(chosen.path))
    program = f"/{chosen.path}/{layer_program(metadata.layout)}"
    module = metadata.launch_module
    return ImageContents(
        name=_name(store, tops[0]),
        platform=platform,
        tops=tuple(tops),
        objects=objects,
        entrypoint=(program, *((metadata.layout.python.safe_path_option, "-m", module) if module else ())),
        search_path=(
            *(f"/{top}/bin" for top in tops if _kind(store, top) == Kind.STACK),
            f"/{chosen.path}/{metadata.layout.scripts}",
        ),
        needs=base_needs(store, objects),
    )


def lowest_first(infos: Mapping[StorePath, ObjectInfo]) -> tuple[ObjectInfo, ...]:
    """Return objects, each after those that it refers to, in an order that depends on them alone.

    Of those that could come next, what most images share comes first: interpreters before layers, then the largest. A
    node keeps the unpacked layers that two images have in common from the bottom up.
    """
    waiting = {path: sum(one in infos for one in info.references) for path, info in infos.items()}
    above = inverted({path: info.references for path, info in infos.items()})
    ready = [_priority(infos[path]) for path, count in waiting.items() if not count]
    heapq.heapify(ready)
    found = []
    while ready:
        info = infos[heapq.heappop(ready)[2]]
        found.append(info)
        for path in above.get(info.path, ()):
            waiting[path] -= 1
            if not waiting[path]:
                heapq.heappush(ready, _priority(infos[path]))
    return tuple(found)


def _priority(info: ObjectInfo) -> tuple[int, int, StorePath]:
    return _RANKS.get(info.kind, 0), -info.size_bytes, info.path


def _kind(store: Store, path: StorePath) -> Kind | None:
    info = store.objects.info(path)
    return info.kind if info else None


def _target(store: Store, path: StorePath) -> Target:
    folder, kind = store.layout.object(path), _kind(store, path)
    if kind == Kind.STACK:
        return Target(read_stack(folder).target)
    if kind in _LAYERS:
        return read_metadata(folder).target
    raise UsageError(f"not a stack or a layer: {path}", hint="an image is made of a stack, an application, or a layer")


def _name(store: Store, top: StorePath) -> str:
    return read_stack(store.layout.object(top)).name if _kind(store, top) == Kind.STACK else top.name


def _layers(store: Store, top: StorePath) -> list[StackLayer]:
    """Return the layers that a requested object offers to start: those of a stack, or the layer itself."""
    kind = _kind(store, top)
    if kind == Kind.STACK:
        return [one for one in read_stack(store.layout.object(top)).layers if one.kind in _LAYERS]
    return [StackLayer(name=top.name, kind=kind, path=top)] if kind in _LAYERS and kind else []


def _chosen(layers: Sequence[StackLayer], name: str | None) -> StackLayer:
    applications = [one for one in layers if one.kind == Kind.APPLICATION]
    if name is not None:
        named = [one for one in layers if name in (one.name, one.name.partition("-")[2])]
        named.sort(key=lambda one: (one.name != name, one.kind != Kind.APPLICATION))
        if not named:
            known = [one.name for one in layers]
            raise UsageError(
                f"--entrypoint {name}: no such layer", hint=f"{suggestion(name, known)}layers: {', '.join(known)}"
            )
        return named[0]
    for found in (applications, layers):
        if len(found) == 1:
            return found[0]
    names = ", ".join(one.name for one in applications or layers)
    raise UsageError(
        f"there are {len(applications) or 'no'} applications, and an image starts one",
        hint=f"--entrypoint NAME: {names}",
    )
