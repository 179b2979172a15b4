"""Orphan links: entries of ``profiles/`` whose generation was never completed or was forgotten."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from vstore.errors import BusyError
from vstore.fs.locking.filelock import lock_file
from vstore.store.generation_records import read_generation_record
from vstore.store.layout import generation_of, generation_of_record
from vstore.store.store import Store

UNFINISHED = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}")  # temporary files of `vstore.fs.atomic`


@contextmanager
def orphan_links(store: Store) -> Iterator[list[str]]:
    """Yield the orphan links, relative to the root, and lock their profiles.

    A generation's link is an orphan if it has no row, and either its number was never given or its record is gone;
    else it is a root, even if its row is missing. So is the link of a profile whose last generation was forgotten. A
    profile that another process is changing is skipped, and so is the record that marks the last number as used.
    """
    folder = store.layout.relative(store.layout.profiles)
    suspects: dict[str, list[tuple[str, int | None]]] = {}
    known = store.generations.numbers()
    with store.layout.opened(store.layout.profiles) as opened:
        names = opened.names()
    for name in names:
        profile, number = _generation_of(name)
        if profile is None and (to := _generation_of(_target(store.layout.profiles / name) or ""))[0] == name:
            profile, number = to
        if profile is not None and (number is None or (profile, number) not in known):
            suspects.setdefault(profile, []).append((name, number))
    with ExitStack() as held:
        found = []
        for profile, links in suspects.items():
            with suppress(BusyError):
                held.enter_context(lock_file(store.layout.locks.profile(profile), blocking=False))
                needed = _needed(store, profile)
                for name, number in links:
                    if number is None or (name not in needed and _is_gone(store, profile, number)):
                        found.append(f"{folder}/{name}")
        yield found


def _needed(store: Store, profile: str) -> set[str]:
    """Return the entries of a profile that are no orphans: the mark of its last number, and its current link."""
    mark = store.layout.generation_record(profile, store.generations.last_number(profile)).name
    current = _target(store.layout.profiles / profile) or ""
    if store.generations.of(profile) or _is_recorded(store, *_generation_of(current)):
        return {mark, profile, current}
    return {mark}


def _is_gone(store: Store, profile: str, number: int) -> bool:
    if (profile, number) in store.generations.numbers():
        return False
    return number > store.generations.last_number(profile) or not _is_recorded(store, profile, number)


def _is_recorded(store: Store, profile: str | None, number: int | None) -> bool:
    return bool(profile and number and read_generation_record(store.layout, profile, number))


def _generation_of(name: str) -> tuple[str | None, int | None]:
    """Return profile and number of the generation that an entry belongs to; no number for an unfinished entry."""
    unfinished = UNFINISHED.fullmatch(name)
    whole = unfinished["name"] if unfinished else name
    found = generation_of(whole) or generation_of_record(whole)
    if unfinished:
        return (found[0] if found else whole), None
    return found or (None, None)


def _target(link: Path) -> str | None:
    try:
        return os.readlink(link)
    except OSError:
        return None
