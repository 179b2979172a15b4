"""Making, switching and forgetting generations.

On disk a generation is the link ``<profile>-<n>-link``, and the profile is a link to it. A new one is made in the order
link, row, switch, each durable before the next: whatever the instant of a crash, the profile leads to a
complete generation. A link without a row was never a generation; the next collection removes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from vstore.digest import Digest
from vstore.errors import ProfileError
from vstore.fs.faults import Point, reached
from vstore.fs.locking.filelock import lock_file
from vstore.objects import StorePath
from vstore.profile.model import Generation
from vstore.profile.retention import Retention, expired
from vstore.store import GenerationRow, Store, generation_link, generation_links, generation_of
from vstore.store.generation_records import drop_records, record_file, recorded, write_record
from vstore.values import replace

_NAME = r"[A-Za-z0-9_][A-Za-z0-9@+._-]{0,100}"


def names(store: Store) -> list[str]:
    """The profiles that have generations."""
    return store.generations.profiles()


def history(store: Store, profile: str) -> list[Generation]:
    """The generations of a profile, oldest first. ProfileError if there is no such profile."""
    rows = store.generations.of(profile)
    if not rows:
        known = ", ".join(names(store)) or "none yet"
        raise ProfileError(f"no such profile: {profile}", hint=f"profiles here: {known}")
    number = _current_number(store, profile)
    return [_generation(row, row.number == number) for row in rows]


def current(store: Store, profile: str) -> Generation | None:
    """The current generation, None if there is no such profile."""
    number = _current_number(store, profile)
    rows = [row for row in store.generations.of(profile) if row.number == number]
    return _generation(rows[0], True) if rows else None


def _generation(row: GenerationRow, is_current: bool) -> Generation:
    return Generation(
        profile=row.profile,
        number=row.number,
        path=row.path,
        created_at=row.created_at,
        spec_path=row.spec_path,
        spec_digest=row.spec_digest,
        replaced=row.replaced,
        current=is_current,
        used_on=row.used_on,
    )


def _current_number(store: Store, profile: str) -> int | None:
    try:
        target = os.readlink(store.layout.profiles / profile)
    except OSError:
        return None
    found = generation_of(target)
    return found[1] if found and found[0] == profile else None


def _locked(store: Store, profile: str, *, blocking: bool = True) -> AbstractContextManager[int]:
    if not re.fullmatch(_NAME, profile) or re.search(r"-[0-9]+-link$", profile):
        raise ProfileError(f"not a name for a profile: {profile!r}", hint="letters, digits, . _ - + @")
    return lock_file(store.layout.profile_lock(profile), blocking=blocking)


def _set_current(store: Store, profile: str, number: int) -> None:
    with store.layout.opened(store.layout.profiles) as folder:
        folder.replace_symlink(profile, generation_link(profile, number))
    reached(Point.PROFILE_SWITCHED)


def append(
    store: Store, profile: str, path: StorePath, *, spec_path: str | None, spec_digest: Digest | None, now: datetime
) -> Generation | None:
    """Make `path` the newest and current generation; None when the current one is that stack already."""
    store.add_temp_root(path)
    with _locked(store, profile):
        before = current(store, profile)
        if before is not None and before.path == path:
            _lead(store, before)
            store.uses.record(path, profile, now=now)
            return None
        if not store.is_valid(path):
            raise ProfileError(f"profile {profile}: not in the store: {path}")
        linked = [number for name, number, _ in generation_links(store.layout) if name == profile]
        number = max([store.generations.last_number(profile), *linked]) + 1
        row = GenerationRow(
            profile=profile,
            number=number,
            path=path,
            created_at=now,
            spec_path=spec_path,
            spec_digest=spec_digest,
            replaced=before.number if before else None,
        )
        made = _generation(row, True)
        write_record(store.layout, row)
        _lead(store, made)
        reached(Point.GENERATION_LINKED)
        store.generations.add(row)
        reached(Point.GENERATION_RECORDED)
        _set_current(store, profile, number)
        _used(store, profile, before, made, now=now)
        _drop_old_marks(store, profile)
        return made


def _used(
    store: Store, profile: str, before: Generation | None, after: Generation, *, now: datetime | None = None
) -> None:
    """A switch is a use of both: what was current until now was there to be used, with or without vstore."""
    for generation in (before, after):
        if generation is not None:
            store.uses.record(generation.path, profile, now=now)


def _lead(store: Store, generation: Generation) -> None:
    """Make the generation's link lead to its stack, unless it does."""
    link, target = store.layout.generation(generation.profile, generation.number), f"../store/{generation.path}"
    if not link.is_symlink() or os.readlink(link) != target:
        with store.layout.opened(store.layout.profiles) as folder:
            folder.replace_symlink(link.name, target)


def switch(store: Store, profile: str, number: int) -> Generation:
    """Make an existing generation the current one."""
    with _locked(store, profile):
        return _switch(store, history(store, profile), profile, number)


def _switch(store: Store, known: list[Generation], profile: str, number: int) -> Generation:
    for generation in known:
        if generation.number == number:
            if not store.layout.object(generation.path).is_dir():
                raise ProfileError(
                    f"profile {profile}: the stack of generation {number} is gone", hint="run `vstore verify`"
                )
            _lead(store, generation)
            _set_current(store, profile, number)
            _used(store, profile, next((one for one in known if one.current), None), generation)
            return replace(generation, current=True)
    numbers = ", ".join(str(generation.number) for generation in known)
    raise ProfileError(f"profile {profile} has no generation {number}", hint=f"generations: {numbers}")


def rollback(store: Store, profile: str, *, to: int | None = None) -> Generation:
    """Go back to the generation that the current one replaced, or to `to`."""
    with _locked(store, profile):
        known = history(store, profile)
        if to is None:
            now_current = next((generation for generation in known if generation.current), None)
            to = now_current.replaced if now_current else None
            if to is None:
                raise ProfileError(
                    f"profile {profile}: the current generation replaced none", hint=f"`vstore history {profile}`"
                )
            if all(generation.number != to for generation in known):
                raise ProfileError(
                    f"profile {profile}: generation {to}, which the current one replaced, was forgotten",
                    hint=f"`vstore history {profile}`, then `vstore switch {profile} N`",
                )
        return _switch(store, known, profile, to)


def forget(store: Store, profile: str, numbers: Iterable[int]) -> None:
    """Forget generations; their objects stay until a collection. Refuses the current one and unknown ones."""
    with _locked(store, profile):
        _forget(store, profile, forgettable(history(store, profile), numbers))


def forgettable(known: Sequence[Generation], numbers: Iterable[int]) -> tuple[int, ...]:
    """These numbers, sorted. ProfileError if one is not in the history of the profile, or is the current one."""
    there = {generation.number: generation for generation in known}
    wanted = tuple(sorted(set(numbers)))
    for number in wanted:
        if number not in there:
            raise ProfileError(f"profile {known[0].profile} has no generation {number}")
        if there[number].current:
            raise ProfileError(
                f"profile {known[0].profile}: generation {number} is the current one",
                hint=f"switch to another first; `vstore forget {known[0].profile} --all` removes the whole profile",
            )
    return wanted


def forget_all(store: Store, profile: str) -> tuple[int, ...]:
    """Remove a profile with all its generations, the current one too; returns their numbers, which stay used up.

    Their rows go in one transaction, and with them the profile; a link that is left then is one for the collector.
    """
    with _locked(store, profile):
        numbers = tuple(generation.number for generation in history(store, profile))
        _forget(store, profile, numbers, with_profile=True)
        return numbers


def forget_expired(
    store: Store, profile: str, limits: Retention, *, now: datetime, blocking: bool = True
) -> tuple[int, ...]:
    """Forget what `expired` says of the history as it is now; returns the numbers.

    With ``blocking=False`` raises BusyError while another process changes the profile.
    """
    with _locked(store, profile, blocking=blocking):
        gone = expired(history(store, profile), limits, now=now)
        _forget(store, profile, gone)
        return gone


def _forget(store: Store, profile: str, numbers: Sequence[int], *, with_profile: bool = False) -> None:
    if not numbers:
        return
    drop_records(store.layout, profile, numbers, last=store.generations.last_number(profile))
    store.generations.drop(profile, numbers)
    reached(Point.GENERATIONS_DROPPED)
    with store.layout.opened(store.layout.profiles) as folder:
        if with_profile:
            folder.unlink(profile)
            reached(Point.PROFILE_REMOVED)
        for number in numbers:
            folder.unlink(generation_link(profile, number))
        folder.flush()


def _drop_old_marks(store: Store, profile: str) -> None:
    """Remove the records of what was forgotten, but for the last number's, which shows that it is used up.

    And those of generations that killed processes made no row for: their links are for the collector then.
    """
    last = store.generations.last_number(profile)
    rows = {row.number for row in store.generations.of(profile)}
    with store.layout.opened(store.layout.profiles) as folder:
        for name, number in recorded(store.layout):
            if name == profile and number != last and number not in rows:
                folder.unlink(record_file(store.layout, profile, number).name)
