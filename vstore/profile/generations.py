"""Making, switching and forgetting the generations of profiles.

On disk a generation is the link ``<profile>-<n>-link``, and the profile is a link to it. A generation is made in the
order record, link, row, switch, each durable before the next: after a crash at any instant the profile leads to a
complete generation. A link without a row is an orphan, which the next collection removes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from vstore.digest import Digest
from vstore.errors import NotFoundError, ProfileError, suggestion
from vstore.fs.faults import Point, reached
from vstore.fs.folder import flush_folder
from vstore.fs.locking.filelock import lock_file
from vstore.objects import StorePath
from vstore.profile.retention import Retention, expired
from vstore.store import Generation, Store, generation_link, generation_links
from vstore.store.generation_records import (
    drop_generation_records,
    recorded_generations,
    write_generation_record,
)
from vstore.values import replace

_NAME = r"[A-Za-z0-9_][A-Za-z0-9@+._-]{0,100}"


def names(store: Store) -> list[str]:
    """Return the names of the profiles that have generations."""
    return store.generations.profiles()


def history(store: Store, profile: str) -> list[Generation]:
    """Return the generations of a profile, oldest first. Raises NotFoundError if there is no such profile."""
    generations = store.generations.of(profile)
    if not generations:
        raise no_such_profile(store, profile)
    return generations


def no_such_profile(store: Store, profile: str) -> NotFoundError:
    """Return the error for a profile that does not exist, with the names of those that do."""
    known = names(store)
    listed = f"profiles: {', '.join(known)}" if known else "there are none yet; `vstore realise SPEC` makes one"
    return NotFoundError(f"no such profile: {profile}", hint=suggestion(profile, known) + listed)


def current(store: Store, profile: str) -> Generation | None:
    """Return the current generation of a profile; None if there is no such profile."""
    return _current(store.generations.of(profile))


def _current(generations: Iterable[Generation]) -> Generation | None:
    return next((one for one in generations if one.current), None)


def append(
    store: Store, profile: str, path: StorePath, *, spec_path: str | None, spec_digest: Digest | None, now: datetime
) -> Generation | None:
    """Make a new generation of the stack `path` and switch to it. Return None if it is the current stack already.

    Raises ProfileError if the stack is not in the store.
    """
    store.add_temp_root(path)
    with _locked(store, profile):
        before = current(store, profile)
        if before is not None and before.path == path:
            _restore_link(store, before)
            store.last_used.record(path, profile, now=now)
            return None
        if not store.is_valid(path):
            raise ProfileError(f"profile {profile}: not in the store: {path}")
        linked = [number for name, number, _ in generation_links(store.layout) if name == profile]
        generation = Generation(
            profile=profile,
            number=max([store.generations.last_number(profile), *linked]) + 1,
            path=path,
            created_at=now,
            spec_path=spec_path,
            spec_digest=spec_digest,
            replaced_number=before.number if before else None,
            current=True,
        )
        write_generation_record(store.layout, generation)
        _restore_link(store, generation)
        reached(Point.GENERATION_LINKED)
        store.generations.add(generation)
        reached(Point.GENERATION_RECORDED)
        _set_current(store, generation)
        _record_use(store, before, generation, now=now)
        _drop_old_records(store, profile)
        return generation


def switch(store: Store, profile: str, number: int) -> Generation:
    """Make an existing generation the current one. Raises ProfileError if there is none with this number."""
    with _locked(store, profile):
        return _switch(store, history(store, profile), number)


def rollback(store: Store, profile: str, *, to: int | None = None) -> Generation:
    """Switch to the generation that the current one replaced, or to number `to`.

    Raises ProfileError if the current generation replaced none, or if the other one was forgotten.
    """
    with _locked(store, profile):
        known = history(store, profile)
        if to is None:
            now_current = _current(known)
            to = now_current.replaced_number if now_current else None
            if to is None:
                raise ProfileError(
                    f"profile {profile}: the current generation replaced none", hint=f"`vstore history {profile}`"
                )
            if all(generation.number != to for generation in known):
                raise ProfileError(
                    f"profile {profile}: generation {to}, which the current one replaced, was forgotten",
                    hint=f"`vstore history {profile}`, then `vstore switch {profile} N`",
                )
        return _switch(store, known, to)


def _switch(store: Store, known: Sequence[Generation], number: int) -> Generation:
    profile = known[0].profile
    for generation in known:
        if generation.number == number:
            if not store.layout.object(generation.path).is_dir():
                raise ProfileError(
                    f"profile {profile}: the stack of generation {number} is missing", hint="run `vstore verify`"
                )
            _restore_link(store, generation)
            _set_current(store, generation)
            _record_use(store, _current(known), generation)
            return replace(generation, current=True)
    numbers = ", ".join(str(generation.number) for generation in known)
    raise ProfileError(f"profile {profile} has no generation {number}", hint=f"generations: {numbers}")


def _locked(store: Store, profile: str, *, blocking: bool = True) -> AbstractContextManager[int]:
    if not re.fullmatch(_NAME, profile) or re.search(r"-[0-9]+-link$", profile):
        raise ProfileError(f"not a name for a profile: {profile!r}", hint="use letters, digits, . _ - + @")
    return lock_file(store.layout.locks.profile(profile), blocking=blocking)


def _set_current(store: Store, generation: Generation) -> None:
    with store.layout.opened(store.layout.profiles) as folder:
        folder.replace_symlink(generation.profile, generation_link(generation.profile, generation.number))
    reached(Point.PROFILE_SWITCHED)


def _restore_link(store: Store, generation: Generation) -> None:
    """Make the generation's link lead to its stack if it does not."""
    link, target = store.layout.generation(generation.profile, generation.number), f"../store/{generation.path}"
    if not link.is_symlink() or os.readlink(link) != target:
        with store.layout.opened(store.layout.profiles) as folder:
            folder.replace_symlink(link.name, target)


def _record_use(store: Store, before: Generation | None, after: Generation, *, now: datetime | None = None) -> None:
    """Record a use of both stacks: the one that was current until now may have been used without vstore."""
    for generation in (before, after):
        if generation is not None:
            store.last_used.record(generation.path, after.profile, now=now)


def forget(store: Store, profile: str, numbers: Iterable[int]) -> None:
    """Forget generations; a collection deletes their objects. Raises as `forgettable` does."""
    with _locked(store, profile):
        _forget(store, profile, forgettable(history(store, profile), numbers))


def forgettable(known: Sequence[Generation], numbers: Iterable[int]) -> tuple[int, ...]:
    """Return these numbers, sorted. Raises ProfileError if one is unknown, or is the current generation's."""
    there = {generation.number: generation for generation in known}
    wanted = tuple(sorted(set(numbers)))
    for number in wanted:
        if number not in there:
            raise ProfileError(
                f"profile {known[0].profile} has no generation {number}",
                hint=f"generations: {', '.join(map(str, there))}",
            )
        if there[number].current:
            raise ProfileError(
                f"profile {known[0].profile}: generation {number} is the current one",
                hint=f"switch to another first; `vstore forget {known[0].profile} --all` removes the whole profile",
            )
    return wanted


def forget_all(store: Store, profile: str) -> tuple[int, ...]:
    """Remove a profile with all its generations. Return their numbers, which are not given again.

    The rows are removed in one transaction, and the profile with them. A link that stays then is an orphan.
    """
    with _locked(store, profile):
        numbers = tuple(generation.number for generation in history(store, profile))
        _forget(store, profile, numbers, with_profile=True)
        return numbers


def forget_expired(
    store: Store, profile: str, limits: Retention, *, now: datetime, blocking: bool = True
) -> tuple[int, ...]:
    """Forget the expired generations of a profile. Return their numbers.

    Raises BusyError, without `blocking` at once, while another process changes the profile.
    """
    with _locked(store, profile, blocking=blocking):
        numbers = expired(history(store, profile), limits, now=now)
        _forget(store, profile, numbers)
        return numbers


def _forget(store: Store, profile: str, numbers: Sequence[int], *, with_profile: bool = False) -> None:
    if not numbers:
        return
    drop_generation_records(store.layout, profile, numbers, last=store.generations.last_number(profile))
    store.generations.drop(profile, numbers)
    reached(Point.GENERATIONS_DROPPED)
    with store.layout.opened(store.layout.profiles) as folder:
        if with_profile:
            folder.unlink(profile)
            reached(Point.PROFILE_REMOVED)
        for number in numbers:
            folder.unlink(generation_link(profile, number))
        flush_folder(folder)


def _drop_old_records(store: Store, profile: str) -> None:
    """Remove the records of forgotten generations, except for the last number's, which marks the number as used.

    Remove also those of generations that killed processes made no row for: their links are orphans then.
    """
    last = store.generations.last_number(profile)
    rows = {row.number for row in store.generations.of(profile)}
    with store.layout.opened(store.layout.profiles) as folder:
        for name, number in recorded_generations(store.layout):
            if name == profile and number != last and number not in rows:
                folder.unlink(store.layout.generation_record(profile, number).name)
