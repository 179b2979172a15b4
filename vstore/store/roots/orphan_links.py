"""Orphan links: entries of ``profiles/`` whose generation was never completed or was forgotten."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
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
                found += [f"{folder}/{name}" for name in _orphans(store, profile, links)]
        yield found


def _orphans(store: Store, profile: str, links: Iterable[tuple[str, int | None]]) -> Iterator[str]:
    """Yield those of the links of a locked profile that are orphans, from one reading of its rows.

    No orphans are the mark of its last number, and the current link while the profile has a generation.
    """
    known, last = store.generations.numbers(), store.generations.last_number(profile)
    current = _target(store.layout.profiles / profile) or ""
    needed = {store.layout.generation_record(profile, last).name}
    if store.generations.of(profile) or _is_recorded(store, *_generation_of(current)):
        needed |= {profile, current}
    for name, number in links:
        is_kept = name in needed or (profile, number) in known
        if number is None or (not is_kept and (number > last or not _is_recorded(store, profile, number))):
            yield name


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
