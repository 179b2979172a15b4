"""Generations: `profiles`, `history`, `switch`, `rollback`, `diff`, `forget`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command, options
from vstore.cli.listing import Order, names_argument, sort_options, unused_for_option
from vstore.cli.options import dry_run_option
from vstore.cli.quantities import AGE
from vstore.cli.settings import Settings
from vstore.cli.text import table, when
from vstore.errors import UsageError
from vstore.plural import count

if TYPE_CHECKING:
    from vstore.api.profiles import Diff, Generation, Retention
    from vstore.api.stores import Store
    from vstore.cli.documents.profiles import (
        AdvisoryChangeDocument,
        ChangeDocument,
        DiffDocument,
        ForgetDocument,
        GenerationDocument,
        ProfileDocument,
        SwitchDocument,
    )


def _document(generation: Generation) -> GenerationDocument:
    return {
        "generation": generation.number,
        "path": str(generation.path),
        "created_at": when(generation.created_at),
        "current": generation.current,
        "replaced": generation.replaced_number,
        "used_on": generation.used_on.isoformat() if generation.used_on else None,
    }


_COLUMNS = {"created": "created_at", "used": "used_on"}


@command("profiles")
@names_argument
@unused_for_option
@sort_options({"profile": "profile", "current": "generation", "generations": "generations", **_COLUMNS})
def profiles_command(settings: Settings, names: tuple[str, ...], unused_for: timedelta | None, order: Order) -> None:
    """Each profile is shown with its current generation, the number of its generations, and the day of its last use.
    NAME may have shell-style wildcards.
    """
    from vstore.api import profiles
    from vstore.api.listings import matches_name

    with settings.open_store(read_only=True) as store:
        known = profiles.names(store)
        found = [(name, profiles.history(store, name)) for name in known if matches_name(names, name)]
    rows = order.of(_profile(*one) for one in found if all(_is_unused(each, unused_for) for each in one[1]))
    columns = {"profile": "profile", "generation": "current", "generations": "generations", "created_at": "created"}
    settings.emit(rows, lambda: table(rows, {**columns, "used_on": "used"}) if known else "no profiles yet")


def _is_unused(generation: Generation, unused_for: timedelta | None) -> bool:
    from vstore.api.listings import unused

    return unused(generation.used_on or generation.created_at.date(), unused_for, now=datetime.now(UTC))


def _profile(name: str, history: list[Generation]) -> ProfileDocument:
    current = next((one for one in history if one.current), None)
    return {
        "profile": name,
        "generations": len(history),
        "generation": current.number if current else None,
        "path": str(current.path) if current else None,
        "created_at": when(current.created_at) if current else None,
        "replaced": current.replaced_number if current else None,
        "used_on": current.used_on.isoformat() if current and current.used_on else None,
    }


@command("history")
@click.argument("profile")
@unused_for_option
@sort_options({"generation": "generation", "replaced": "replaced", **_COLUMNS})
def history_command(settings: Settings, profile: str, unused_for: timedelta | None, order: Order) -> None:
    """The oldest comes first. `*` is the current generation."""
    from vstore.api import profiles

    with settings.open_store(read_only=True) as store:
        known = profiles.history(store, profile)
    rows = order.of(_document(one) for one in known if _is_unused(one, unused_for))
    columns = {
        "current": " ",
        "generation": "generation",
        "created_at": "created",
        "used_on": "used",
        "replaced": "replaced",
        "path": "path",
    }
    settings.emit(rows, lambda: table(rows, columns))


def _emit_switched(settings: Settings, generation: Generation, verb: str) -> None:
    document: SwitchDocument = {"profile": generation.profile, **_document(generation)}
    settings.emit(document, lambda: f"{verb} {generation.profile} to generation {generation.number}")


@command("switch")
@click.argument("profile")
@click.argument("generation", type=int)
def switch_command(settings: Settings, profile: str, generation: int) -> None:
    """Programs that are running keep the generation that they were started from."""
    from vstore.api import profiles

    with settings.open_store() as store:
        _emit_switched(settings, profiles.switch(store, profile, generation), "switched")


@command("rollback")
@click.argument("profile")
@click.option("--to", type=int, metavar="N", help="Switch to this generation instead.")
def rollback_command(settings: Settings, profile: str, to: int | None) -> None:
    """Programs that are running keep the generation that they were started from."""
    from vstore.api import profiles

    with settings.open_store() as store:
        _emit_switched(settings, profiles.rollback(store, profile, to=to), "rolled back")


@command("diff")
@click.argument("profile")
@click.argument("old", type=int, required=False)
@click.argument("new", type=int, required=False)
def diff_command(settings: Settings, profile: str, old: int | None, new: int | None) -> None:
    """NEW is the current generation by default, OLD the generation that NEW replaced. The known vulnerabilities that
    come and go are shown too, if `audit.database` is set.
    """
    from vstore.api import profiles

    with settings.open_store(read_only=True) as store:
        found = profiles.diff(store, profile, old, new)
        advisories = _advisories(settings, store, profile, found)
    rows: list[ChangeDocument] = [
        {"layer": change.layer, "package": change.name, "old": change.old, "new": change.new}
        for change in found.changes
    ]
    document: DiffDocument = {
        "profile": profile,
        "old": found.old,
        "new": found.new,
        "changes": rows,
        "advisories": advisories,
    }
    title = f"{profile}: generation {found.old} -> {found.new}"
    columns = {"layer": "layer", "package": "package", "old": "old", "new": "new"}
    lines = [f"{one['change']}: {one['id']} of {one['package']} {one['version']}" for one in advisories or ()]
    text = "\n".join([title, table(rows, columns) if rows else "the same packages", *lines])
    settings.emit(document, lambda: text)


def _advisories(settings: Settings, store: Store, profile: str, found: Diff) -> list[AdvisoryChangeDocument] | None:
    if store.config.audit_database is None:
        return None
    from vstore.api.audits import compare_generations, open_database

    database = open_database(store, reporter=settings.reporter)
    compared = compare_generations(store, database, profile, found.old, found.new)
    return [
        {
            "change": change,
            "id": one.id,
            "aliases": list(one.aliases),
            "package": one.package,
            "version": one.version,
            "severity": one.severity.word if one.severity else None,
        }
        for change, those in (("gone", compared.gone), ("new", compared.new))
        for one in those
    ]


def _retention(keep: int | None, older_than: timedelta | None, unused_for: timedelta | None) -> Retention:
    from vstore.api.profiles import Retention

    return Retention(keep=keep, older_than=older_than, unused_for=unused_for)


@command("forget")
@click.argument("profile")
@click.argument("generations", type=int, nargs=-1)
@options(
    "retention",
    _retention,
    click.option("--keep", type=click.IntRange(1), metavar="K", help="Forget all but the newest K."),
    click.option("--older-than", type=AGE, metavar="AGE", help="Forget those made longer ago than AGE."),
    click.option("--unused-for", type=AGE, metavar="AGE", help="Forget those not used for AGE."),
)
@click.option("--all", "everything", is_flag=True, help="Forget the profile, its current generation included.")
@dry_run_option
def forget_command(
    settings: Settings,
    profile: str,
    generations: tuple[int, ...],
    retention: Retention,
    everything: bool,
    dry_run: bool,
) -> None:
    """The objects stay until `gc`. The current generation is forgotten only with --all."""
    from vstore.api import profiles
    from vstore.api.profiles import Retention

    if (bool(generations), retention != Retention(), everything).count(True) != 1:
        raise UsageError("give generations, or --keep, --older-than or --unused-for, or --all")
    with settings.open_store() as store:
        known, now = profiles.history(store, profile), datetime.now(UTC)
        if generations:
            numbers = profiles.forgettable(known, generations)
            if not dry_run:
                profiles.forget(store, profile, numbers)
        elif everything:
            numbers = tuple(one.number for one in known) if dry_run else profiles.forget_all(store, profile)
        elif dry_run:
            numbers = profiles.expired(known, retention, now=now)
        else:
            numbers = profiles.forget_expired(store, profile, retention, now=now)
    document: ForgetDocument = {"profile": profile, "forgotten": list(numbers), "dry_run": dry_run}
    amount = count(len(numbers), "generation")
    what = f"{profile} and its {amount}" if everything else f"{amount} of {profile}"
    settings.emit(document, lambda: f"{'would forget' if dry_run else 'forgot'} {what}")
