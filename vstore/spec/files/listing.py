"""Listing the files of a folder, without ignored files, bytecode, and the files of git repositories.

In a git checkout these are the files that ``git ls-files --cached --others --exclude-standard`` lists and that exist:
those that are tracked, and those that neither a ``.gitignore`` of the checkout nor ``info/exclude`` ignores. A user's
``core.excludesFile`` is not read, so that all users get the same list.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from pathlib import Path

from vstore.spec.files.checkout import Checkout, checkout_at, find_checkout, ignore_rules
from vstore.spec.files.gitignore import Rule, verdict
from vstore.values import frozen, replace

_MAX_DEPTH = 200  # of nested folders


@frozen
class _Place:
    """A file or folder: its path `below` the listed folder, and its path (`parts`) and rules in its checkout.

    `rules` are those of the folders above it, outermost first, each with the number of parts of that folder's path.
    With `all_files` no rule applies.
    """

    below: tuple[bytes, ...] = ()
    checkout: Checkout | None = None
    parts: tuple[bytes, ...] = ()
    rules: tuple[tuple[int, tuple[Rule, ...]], ...] = ()
    ignored: bool = False
    all_files: bool = False

    def with_own_rules(self, top: Path) -> _Place:
        """Add the rules of the folder's ``.gitignore``. Raises OSError."""
        if self.checkout is None or self.ignored or self.all_files:
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
    def is_omitted(self) -> bool:
        """Whether a file is ignored and not tracked. Raises ValueError for an index that cannot be used."""
        return (
            self.ignored
            and not self.all_files
            and self.checkout is not None
            and not self.checkout.tracks(b"/".join(self.parts))
        )

    @property
    def is_omitted_folder(self) -> bool:
        """Whether a folder is ignored, and neither it (a submodule) nor a file in it is tracked. Raises ValueError."""
        return self.is_omitted and self.checkout is not None and not self.checkout.tracks_below(b"/".join(self.parts))


def list_files(top: Path, owners: Set[int]) -> list[bytes]:
    """List the files and links of a folder, as unsorted paths relative to it. `top` is absolute, with links resolved.

    If the whole folder is ignored, all its files are listed, as the spec names it. A checkout inside it follows its own
    rules. A repository is used if it belongs to one of `owners`. Raises OSError, and ValueError for folders that are
    nested too deeply and for a checkout's index that cannot be read.
    """
    checkout = find_checkout(top, owners)
    start = _start(top, checkout)
    return list(_walk(top, start, owners)) or list(_walk(top, replace(start, rules=(), all_files=True), owners))


def _start(top: Path, checkout: Checkout | None) -> _Place:
    """Return the listed folder as a place in its checkout, with the rules of all folders above it."""
    if checkout is None:
        return _Place()
    excluded = checkout.excluded()
    place = _Place(checkout=checkout, rules=((0, excluded),) if excluded else ())
    for part in top.relative_to(checkout.top).parts:
        place = place.with_own_rules(checkout.top).child(os.fsencode(part), is_folder=True)
    return replace(place, below=())


def _walk(top: Path, start: _Place, owners: Set[int]) -> Iterator[bytes]:
    waiting = [start]
    while waiting:
        place = waiting.pop().with_own_rules(top)
        with os.scandir(os.path.join(os.fsencode(top), *place.below)) as found:
            children = list(found)
        for child in children:
            if _is_internal(child.name, in_checkout=place.checkout is not None):
                continue
            is_folder = child.is_dir(follow_symlinks=False)
            inner = place.child(child.name, is_folder=is_folder)
            if not is_folder:
                if not inner.is_omitted:
                    yield b"/".join(inner.below)
            elif not inner.is_omitted_folder:
                if len(inner.below) > _MAX_DEPTH:
                    raise ValueError(f"has more than {_MAX_DEPTH} nested folders")
                waiting.append(_own_checkout(Path(os.fsdecode(child.path)), inner, owners))


def _own_checkout(folder: Path, place: _Place, owners: Set[int]) -> _Place:
    """Return the place with the rules of its own checkout, if the folder is the top of one."""
    checkout = checkout_at(folder, owners)
    return place if checkout is None else replace(_start(folder, checkout), below=place.below)


def _is_internal(name: bytes, *, in_checkout: bool) -> bool:
    return name in (b"__pycache__", b".git") or (in_checkout and name.startswith(b".git"))
