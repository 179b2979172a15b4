"""`verify`, `optimise` and `reindex`."""

from __future__ import annotations

import os
import sys

import click

from vstore.cli.command import command
from vstore.cli.settings import Settings
from vstore.cli.text import size
from vstore.errors import StoreError


@command("verify")
@click.option("--contents", is_flag=True, help="Hash every file too.")
@click.option(
    "--repair", "mend", is_flag=True, help="Put right what is wrong, contents too: from a cache, or by building."
)
@click.option("--offline", is_flag=True, help="Repair without the network.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Processes (default: the cores).")
def verify_command(settings: Settings, contents: bool, mend: bool, offline: bool, jobs: int | None) -> None:
    """The exit code is 6 if there are problems that remain."""
    from vstore.api.maintenance import repair, verify

    jobs, reporter = jobs or os.cpu_count() or 1, settings.reporter
    with settings.open_store(read_only=not mend) as store:
        checked, problems = verify(store, contents=contents or mend, jobs=jobs, reporter=reporter)
        found = problems
        if mend and found:
            problems = repair(store, found, offline=offline, jobs=jobs, reporter=reporter)
    wrong = {problem.path for problem in problems}
    repaired = sorted({str(problem.path) for problem in found if problem.path not in wrong})
    document = {
        "checked": checked,
        "repaired": repaired,
        "problems": [{"path": str(problem.path), "problem": problem.problem} for problem in problems],
    }
    lines = [f"{path}: repaired" for path in repaired]
    lines += [f"{problem.path}: {problem.problem}" for problem in problems]
    settings.emit(document, lambda: "\n".join([*lines, f"checked {checked} objects, {len(problems)} problems"]))
    damaged = {problem.path for problem in problems if problem.profile is None}
    if damaged and mend:
        reporter.warn(
            f"{len(damaged)} objects could not be repaired",
            "no cache and no unchanged spec of a generation gives them; `vstore pull` or `vstore realise` what they "
            "are of, or `vstore gc` them",
        )
    if problems:
        sys.exit(StoreError.exit_code)


@command("optimise")
@click.option("--dry-run", is_flag=True, help="Say what would be saved, and stop.")
def optimise_command(settings: Settings, dry_run: bool) -> None:
    """Files in the store never change, so equal ones can share their space."""
    from vstore.api.maintenance import optimise

    with settings.open_store() as store:
        done = optimise(store, dry_run=dry_run, reporter=settings.reporter)
    document = {
        "objects": done.objects,
        "shared_files": done.shared_files,
        "saved_bytes": done.saved_bytes,
        "dry_run": dry_run,
    }
    verb = "would share" if dry_run else "shared"
    settings.emit(document, lambda: f"{verb} {done.shared_files} files, which saves {size(done.saved_bytes)}")


@command("reindex")
def reindex_command(settings: Settings) -> None:
    """The index only repeats what manifests, profiles and roots on disk say."""
    from vstore.api.maintenance import reindex

    count = reindex(settings.location(), settings.reporter)
    settings.emit({"objects": count}, lambda: f"indexed {count} objects")
