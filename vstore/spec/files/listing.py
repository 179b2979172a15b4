"""The files of a folder that belong to it: not what git would ignore, nor bytecode, nor a repository's own files.

In a checkout these are the files that ``git ls-files --cached --others --exclude-standard`` lists, as they lie there:
what is tracked, and what no ``.gitignore`` of the checkout and no ``info/exclude`` ignores. A user's own
``core.excludesFile`` has no part in it, so that all users get one answer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from dataclasses import replace
from pathlib import Path

from vstore.spec.files.checkout import Checkout, checkout_at, find_checkout, ignore_rules
from vstore.spec.files.gitignore import Rule, verdict
from vstore.values import frozen

_MAX_DEPTH = 200  # folders in folders


@frozen
class _Place:
    """A folder on the way: its path below the top, and its parts, rules and state in its checkout.

    `rules` are those of the folders above it, outermost first, each with the number of parts that lead to it.
    """

    below: tuple[bytes, ...] = ()
    checkout: Checkout | None = None
    parts: tuple[bytes, ...] = ()
    rules: tuple[tuple[int, tuple[Rule, ...]], ...] = ()
    ignored: bool = False
    free: bool = False  # of all rules

    def entered(self, top: Path) -> _Place:
        """With the folder's own rules. Raises OSError."""
        if self.checkout is None or self.ignored or self.free:
            return self
        own = ignore_rules(top.joinpath(*map(os.fsdecode, self.below)))
        return replace(self, rules=(*self.rules, (len(self.parts), own))) if own else self

    def child(self, name: bytes, *, is_folder: bool) -> _Place:
        parts = (*self.parts, name)
        ignored = self.ignored or self._ignores(parts, is_folder=is_folder)
        return replace(self, below=(*self.below, name), parts=parts, ignored=ignored)

    def _ignores(self, parts: tuple[bytes, ...], *, is_folder: bool) -> bool:
        for depth, rules in reversed(self.rules):
            found = verdict(rules, parts[depth:], is_folder=is_folder)
            if found is not None:
                return found
        return False

    @property
    def is_left_out(self) -> bool:
        """Whether a file is ignored and not tracked. Raises ValueError for an index that cannot be used."""
        return (
            self.ignored
            and not self.free
            and self.checkout is not None
            and not self.checkout.tracks(b"/".join(self.parts))
        )

    @property
    def has_nothing(self) -> bool:
        """Whether a folder is ignored, and neither it (a submodule) nor anything in it is tracked. Raises alike."""
        return self.is_left_out and self.checkout is not None and not self.checkout.tracks_below(b"/".join(self.parts))


def list_files(top: Path, owners: Set[int]) -> list[bytes]:
    """The files and links that belong to a folder, relative to it, unsorted; `top` is absolute, without links.

    If the folder is ignored as a whole, all its files belong to it: the spec names it, after all. A checkout inside
    it follows its own rules. Repositories count that belong to one of `owners`. Raises OSError, and ValueError for
    folders that are nested too deeply or a checkout's index that cannot be used.
    """
    checkout = find_checkout(top, owners)
    start = _start(top, checkout)
    return list(_walk(top, start, owners)) or list(_walk(top, replace(start, rules=(), free=True), owners))


def _start(top: Path, checkout: Checkout | None) -> _Place:
    """The top as a place in its checkout, with the rules of all folders that lead to it."""
    if checkout is None:
        return _Place()
    excluded = checkout.excluded()
    place = _Place(checkout=checkout, rules=((0, excluded),) if excluded else ())
    for part in top.relative_to(checkout.top).parts:
        place = place.entered(checkout.top).child(os.fsencode(part), is_folder=True)
    return replace(place, below=())


def _walk(top: Path, start: _Place, owners: Set[int]) -> Iterator[bytes]:
    waiting = [start]
    while waiting:
        place = waiting.pop().entered(top)
        with os.scandir(os.path.join(os.fsencode(top), *place.below)) as found:
            children = list(found)
        for child in children:
            if _is_internal(child.name, in_checkout=place.checkout is not None):
                continue
            is_folder = child.is_dir(follow_symlinks=False)
            inner = place.child(child.name, is_folder=is_folder)
            if not is_folder:
                if not inner.is_left_out:
                    yield b"/".join(inner.below)
            elif not inner.has_nothing:
                if len(inner.below) > _MAX_DEPTH:
                    raise ValueError(f"has more than {_MAX_DEPTH} folders in one another")
                waiting.append(_own_checkout(Path(os.fsdecode(child.path)), inner, owners))


def _own_checkout(folder: Path, place: _Place, owners: Set[int]) -> _Place:
    """The place by the rules of the checkout that the folder is itself, if it is one."""
    checkout = checkout_at(folder, owners)
    return place if checkout is None else replace(_start(folder, checkout), below=place.below)


def _is_internal(name: bytes, *, in_checkout: bool) -> bool:
    return name in (b"__pycache__", b".git") or (in_checkout and name.startswith(b".git"))
