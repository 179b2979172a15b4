"""Generations: `profiles`, `history`, `switch`, `rollback`, `diff`, `forget`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.quantities import AGE
from vstore.cli.settings import Settings
from vstore.cli.text import table, when
from vstore.errors import UsageError

if TYPE_CHECKING:
    from vstore.api.profiles import Generation


def _row(generation: Generation) -> dict[str, object]:
    return {
        "generation": generation.number,
        "path": str(generation.path),
        "created_at": when(generation.created_at),
        "current": generation.current,
        "replaced": generation.replaced_number,
    }


@command("profiles")
def profiles_command(settings: Settings) -> None:
    """Each with its current generation and the number of its generations."""
    from vstore.api import profiles

    with settings.open_store(read_only=True) as store:
        rows = []
        for name in profiles.names(store):
            generation = profiles.current(store, name)
            row: dict[str, object] = {"profile": name, "generations": len(profiles.history(store, name))}
            rows.append({**row, **(_row(generation) if generation else {})})
    columns = {"profile": "profile", "generation": "current", "generations": "generations", "created_at": "created"}
    settings.emit(rows, lambda: table(rows, columns) if rows else "no profiles yet")


@command("history")
@click.argument("profile")
def history_command(settings: Settings, profile: str) -> None:
    """The oldest comes first."""
    from vstore.api import profiles

    with settings.open_store(read_only=True) as store:
        rows = [_row(generation) for generation in profiles.history(store, profile)]
    columns = {
        "current": " ",
        "generation": "generation",
        "created_at": "created",
        "replaced": "replaced",
        "path": "path",
    }
    settings.emit(rows, lambda: table(rows, columns))


def _switched(settings: Settings, generation: Generation, verb: str) -> None:
    document = {"profile": generation.profile, **_row(generation)}
    settings.emit(document, lambda: f"{verb} {generation.profile} to generation {generation.number}")


@command("switch")
@click.argument("profile")
@click.argument("generation", type=int)
def switch_command(settings: Settings, profile: str, generation: int) -> None:
    """Programs that run keep the generation that they were started from."""
    from vstore.api import profiles

    with settings.open_store() as store:
        _switched(settings, profiles.switch(store, profile, generation), "switched")


@command("rollback")
@click.argument("profile")
@click.option("--to", type=int, metavar="N", help="This generation, instead of the one that was replaced.")
def rollback_command(settings: Settings, profile: str, to: int | None) -> None:
    """With --to it switches to generation N instead."""
    from vstore.api import profiles

    with settings.open_store() as store:
        _switched(settings, profiles.rollback(store, profile, to=to), "rolled back")


@command("diff")
@click.argument("profile")
@click.argument("old", type=int, required=False)
@click.argument("new", type=int, required=False)
def diff_command(settings: Settings, profile: str, old: int | None, new: int | None) -> None:
    """OLD is by default the generation that NEW replaced, NEW the current one."""
    from vstore.api import profiles
    from vstore.api.realising import distributions

    with settings.open_store(read_only=True) as store:
        known = {generation.number: generation for generation in profiles.history(store, profile)}
        current = next((g for g in known.values() if g.current), None)
        after = known.get(new) if new is not None else current
        before = known.get(old if old is not None else after.replaced_number or -1) if after else None
        if before is None or after is None:
            raise UsageError(
                f"profile {profile}: nothing to compare with", hint=f"`vstore history {profile}` lists generations"
            )
        changes = profiles.compare(distributions(store, before.path), distributions(store, after.path))
    rows = [{"layer": change.layer, "package": change.name, "old": change.old, "new": change.new} for change in changes]
    document = {"profile": profile, "old": before.number, "new": after.number, "changes": rows}
    title = f"{profile}: generation {before.number} -> {after.number}"
    columns = {"layer": "layer", "package": "package", "old": "old", "new": "new"}
    settings.emit(document, lambda: f"{title}\n{table(rows, columns) if rows else 'the same packages'}")


@command("forget")
@click.argument("profile")
@click.argument("generations", type=int, nargs=-1)
@click.option("--keep", type=click.IntRange(1), metavar="K", help="Forget all but the newest K.")
@click.option("--older-than", type=AGE, metavar="AGE", help="Forget those made longer ago than AGE.")
@click.option("--unused-for", type=AGE, metavar="AGE", help="Forget those not used for AGE.")
@click.option("--all", "everything", is_flag=True, help="Forget the profile itself, the current generation too.")
@click.option("--dry-run", is_flag=True, help="Say which would be forgotten, and stop.")
def forget_command(
    settings: Settings,
    profile: str,
    generations: tuple[int, ...],
    keep: int | None,
    older_than: timedelta | None,
    unused_for: timedelta | None,
    everything: bool,
    dry_run: bool,
) -> None:
    """The current generation is forgotten only with --all."""
    from vstore.api import profiles

    limits = profiles.Retention(keep=keep, older_than=older_than, unused_for=unused_for)
    if (bool(generations), limits != profiles.Retention(), everything).count(True) != 1:
        raise UsageError("say which generations, or --keep, --older-than or --unused-for, or --all")
    with settings.open_store() as store:
        known, now = profiles.history(store, profile), datetime.now(UTC)
        if generations:
            numbers = profiles.forgettable(known, generations)
            if not dry_run:
                profiles.forget(store, profile, numbers)
        elif everything:
            numbers = tuple(one.number for one in known) if dry_run else profiles.forget_all(store, profile)
        elif dry_run:
            numbers = profiles.expired(known, limits, now=now)
        else:
            numbers = profiles.forget_expired(store, profile, limits, now=now)
    document = {"profile": profile, "forgotten": list(numbers), "dry_run": dry_run}
    what = f"{profile} and its {len(numbers)} generations" if everything else f"{len(numbers)} generations of {profile}"
    settings.emit(document, lambda: f"{'would forget' if dry_run else 'forgot'} {what}")
