"""WHAT: the names by which users call an object. Each command that takes an object reads them with `resolve_what`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vstore.errors import NotFoundError, ProfileError, StoreError, UsageError, nearest, suggestion
from vstore.fs.paths import absolute
from vstore.objects import Kind, StorePath
from vstore.profile import generations as profiles
from vstore.profile.stack import StackLayer, read_stack
from vstore.store import Generation, Store, generation_of, object_at
from vstore.values import frozen

_PREFIXED = (Kind.FRAMEWORK, Kind.APPLICATION)  # framework-NAME, app-NAME
_MOST_LINKS = 40  # as Linux follows
_NAME = re.compile(r"[A-Za-z0-9@+._-]+")  # the characters of names and of store paths


@frozen
class What:
    """An object, and the name by which the user called it.

    `place` is the absolute path through which to use the object. It leads through the link of the `profile` if the
    object was named by a profile without a generation, so that it follows an upgrade or a rollback; else it is the
    object's folder. `generation` is None for the current one, `layer` is None for the whole stack.
    """

    path: StorePath
    place: Path
    profile: str | None = None
    generation: int | None = None
    layer: str | None = None


def resolve_what(store: Store, text: str, *, keep: bool = False) -> What:
    """Return the object that a text names; with `keep`, it is kept alive until the store is closed.

    The first of these that exists is meant: PROFILE, PROFILE@N, PROFILE/LAYER, PROFILE@N/LAYER; a store path or its
    unique start; the name of an object, which means the one in a current generation if there is just one; a place on
    disk inside an object or leading to one, from the current folder or from the root of the store.
    Raises NotFoundError, UsageError for an empty or ambiguous text, ProfileError for an unknown generation.
    """
    if not text.strip():
        raise UsageError("the name of an object is empty", hint="`vstore profiles` and `vstore list` show names")
    found = _in_a_profile(store, text) or _object(store, text) or _at_place(store, text)
    if found is None:
        raise _not_found(store, text)
    if keep:
        store.add_temp_root(found.path)
        if not store.is_valid(found.path):
            raise NotFoundError(f"not in the store any more: {found.path}", hint="realise or pull it again")
    return found


def _in_a_profile(store: Store, text: str) -> What | None:
    head, _, name = text.partition("/")
    profile, number = _profile(store, head)
    generation = _generation(store, profile, number) if profile else None
    if generation is None or not name:
        return _member(store, generation, number) if generation else None
    layer = _layer(_layers(store, generation), name)
    return _member(store, generation, number, layer) if layer else None


def _layer(layers: Sequence[StackLayer], name: str) -> StackLayer | None:
    """Return the layer of a name: ``app-hello``, or ``hello`` if no other layer is called so."""
    named = [one for one in layers if one.name == name]
    named.sort(key=lambda one: one.kind == Kind.INTERPRETER)  # a layer may have the name of an interpreter
    short = [one for one in layers if one.kind in _PREFIXED and one.name.partition("-")[2] == name]
    return named[0] if named else short[0] if len(short) == 1 else None


def _profile(store: Store, text: str) -> tuple[str | None, int | None]:
    """Return the profile of PROFILE or PROFILE@N, None if there is none, and N."""
    known = profiles.names(store)
    if text in known:
        return text, None
    profile, _, number = text.rpartition("@")
    return (profile, int(number)) if profile in known and re.fullmatch("[0-9]{1,9}", number) else (None, None)


def _generation(store: Store, profile: str, number: int | None) -> Generation | None:
    known = store.generations.of(profile)
    return next((one for one in known if (one.current if number is None else one.number == number)), None)


def _member(store: Store, generation: Generation, number: int | None, layer: StackLayer | None = None) -> What:
    """Return the stack of a generation, or a layer of it. `number` is None if the generation is not named."""
    path = layer.path if layer else generation.path
    place = store.layout.profiles / generation.profile
    if layer:
        place = place / "layers" / layer.name
    if number is not None or (layer and layer.kind == Kind.INTERPRETER):  # a stack has no link to an interpreter
        place = store.layout.object(path)
    return What(
        path=path, place=place, profile=generation.profile, generation=number, layer=layer.name if layer else None
    )


def _layers(store: Store, generation: Generation) -> tuple[StackLayer, ...]:
    return read_stack(store.layout.object(generation.path)).layers


def _object(store: Store, text: str) -> What | None:
    found = store.objects.find(text) if _NAME.fullmatch(text) else []
    if len(found) > 1:
        found = [path for path in found if str(path) == text] or [_one_in_use(store, text, found)]
    return What(path=found[0], place=store.layout.object(found[0])) if found else None


def _one_in_use(store: Store, text: str, found: list[StorePath]) -> StorePath:
    """Return the only object that is in a current generation. Raises UsageError unless all have this name."""
    users = {path: list(_users(store, path)) for path in found}
    live = [path for path in found if any(generation.current for generation, _ in users[path])]
    if len(live) == 1 and all(path.name == text for path in found):
        return live[0]
    hints = sorted({f"`{one.profile}/{layer}`" for path in live for one, layer in users[path] if one.current and layer})
    raise UsageError(
        f"{text} is ambiguous: {len(found)} objects match",
        details=[_described(store, path, users[path]) for path in found],
        hint=f"say {' or '.join(hints)}" if hints else "give more of the store path",
    )


def _users(store: Store, path: StorePath) -> Iterator[tuple[Generation, str | None]]:
    """Yield the generations that contain an object, and its name in them; the name of a stack is None."""
    for profile in profiles.names(store):
        for generation in store.generations.of(profile):
            if generation.path == path:
                yield generation, None
                continue
            try:
                layers = _layers(store, generation)
            except StoreError:  # a damaged stack is for `verify` to tell
                continue
            yield from ((generation, one.name) for one in layers if one.path == path)


def _described(store: Store, path: StorePath, users: list[tuple[Generation, str | None]]) -> str:
    info = store.objects.info(path)
    said = f"{info.kind}, {_age(datetime.now(UTC) - info.registered_at)} old" if info else "deleted meanwhile"
    names = [
        f"{one.profile}{'' if one.current else f'@{one.number}'}{f'/{layer}' if layer else ''}" for one, layer in users
    ]
    return f"{path}  {said}, {'in ' + ', '.join(names) if names else 'in no profile'}"


def _age(age: timedelta) -> str:
    seconds = max(int(age.total_seconds()), 0)
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} seconds"


def _at_place(store: Store, text: str) -> What | None:
    try:
        place = absolute(text)
    except UsageError:
        return None
    for one in dict.fromkeys((place, store.layout.root / text)):
        path = object_at(store.layout, one) if os.path.exists(one) else None
        if path is not None and store.objects.is_registered(path):
            return _through_profile(store, one, path) or What(path=path, place=store.layout.object(path))
    return None


def _through_profile(store: Store, place: Path, path: StorePath) -> What | None:
    """Return the object as a member of the generation through whose link the place leads to it, if it does."""
    link = _link_of_profiles(os.path.realpath(store.layout.profiles), place)
    profile, number = generation_of(link) or (link, None) if link else ("", None)
    generation = _generation(store, profile, number)
    if generation is None:
        return None
    if generation.path == path:
        return _member(store, generation, number)
    layer = next((one for one in _layers(store, generation) if one.path == path), None)
    return _member(store, generation, number, layer) if layer else None


def _link_of_profiles(profiles_folder: str, place: Path) -> str | None:
    """Return the name of the first link in the folder of profiles that a path leads through; None if through none."""
    here, ahead, links = place.anchor, list(reversed(place.parts[1:])), 0
    while ahead:
        part = ahead.pop()
        if part == "..":
            here = os.path.dirname(here)
            continue
        if here == profiles_folder:
            return part
        try:
            target = Path(os.readlink(os.path.join(here, part)))
        except OSError:
            here = os.path.join(here, part)
            continue
        links += 1
        if links > _MOST_LINKS:
            return None
        here = target.anchor or here
        ahead += reversed(target.parts[1:] if target.anchor else target.parts)
    return None


def _not_found(store: Store, text: str) -> NotFoundError | ProfileError:
    """Return the error for a text that names nothing, with the nearest names that there are."""
    head, _, name = text.partition("/")
    profile, number = _profile(store, head)
    if profile is None:
        names = {*profiles.names(store), *(info.path.name for info in store.objects.all())}
        said = suggestion(head if head in (text, text.rstrip("/")) else text, names)
        there = "`vstore profiles` and `vstore list` show the names that there are"
        hint = said + (there if profiles.names(store) else "there is no profile yet; `vstore realise SPEC` makes one")
        return NotFoundError(f"no profile, object or place in the store is called {text!r}", hint=hint)
    generation = _generation(store, profile, number)
    if generation is None:
        missing = "no current generation" if number is None else f"no generation {number}"
        return ProfileError(f"profile {profile} has {missing}", hint=f"`vstore history {profile}` lists them")
    layers = [one.name for one in _layers(store, generation)]
    near = nearest(name, layers)
    said = f"did you mean `{head}/{near}`? " if near else ""
    return NotFoundError(f"{head} has no layer {name!r}", hint=f"{said}layers: {', '.join(layers)}")
