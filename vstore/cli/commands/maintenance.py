"""`verify`, `optimise`, `reindex` and `doctor`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.options import dry_run_option, jobs_option, offline_option
from vstore.cli.settings import Settings
from vstore.errors import FOUND_SOMETHING, StoreError
from vstore.plural import count
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.api.maintenance import Problem
    from vstore.cli.documents.stores import DoctorDocument, OptimiseDocument, ReindexDocument, VerifyDocument

_SHOWN_PROBLEMS = 5  # of one object: an installer that changed it leaves thousands
_PROTECTIONS = {
    "read-only mount": "nobody can change them: store/ is mounted read-only",
    "read-only modes": "this user cannot change them in place: their files and folders are read-only",
    "writable by root": "root can change them in spite of read-only modes: `vstore verify` finds what pip, uv or"
    " bytecode changed, and a read-only mount of store/ prevents it (docs/compatibility.md)",
}


@command("verify")
@click.option("--contents", is_flag=True, help="Also compare every file with its digest.")
@click.option("--repair", "repairs", is_flag=True, help="Repair every fault, contents included.")
@offline_option
@jobs_option
def verify_command(settings: Settings, contents: bool, repairs: bool, offline: bool, jobs: int | None) -> None:
    """The exit code is 6 if problems remain. Objects are repaired in place, from a cache, or by building them again.

    At most 5 problems of an object are shown; `-v` and `--json` show all.
    """
    from vstore.api.maintenance import repair, verify

    jobs, reporter = jobs or os.cpu_count() or 1, settings.reporter
    with settings.open_store(read_only=not repairs) as store:
        checked, problems = verify(store, contents=contents or repairs, jobs=jobs, reporter=reporter)
        found = problems
        if repairs and found:
            problems = repair(store, found, offline=offline, jobs=jobs, reporter=reporter)
    wrong = {problem.path for problem in problems}
    repaired = sorted({str(problem.path) for problem in found if problem.path not in wrong})
    document: VerifyDocument = {
        "checked": checked,
        "repaired": repaired,
        "problems": [{"path": str(problem.path), "problem": problem.problem} for problem in problems],
    }
    lines = [f"{path}: repaired" for path in repaired]
    lines += _problem_lines(problems, None if settings.verbose else _SHOWN_PROBLEMS)
    lines.append(f"checked {count(checked, 'object')}, {count(len(problems), 'problem')}")
    if problems and not repairs:
        lines.append("hint: run `vstore verify --repair`")
    settings.emit(document, lambda: "\n".join(lines))
    damaged = {problem.path for problem in problems if problem.profile is None}
    if damaged and repairs:
        reporter.warn(
            f"{count(len(damaged), 'object')} could not be repaired: no cache and no unchanged spec has them",
            "`vstore pull` or `vstore realise` what they belong to, or delete them with `vstore gc`",
        )
    if problems:
        sys.exit(StoreError.exit_code)


def _problem_lines(problems: Sequence[Problem], most: int | None) -> Iterator[str]:
    """Yield a line for each problem, or for at most so many of each object."""
    for path, group in groupby(problems, key=lambda one: one.path):
        of_object = list(group)
        yield from (f"{path}: {one.problem}" for one in of_object[:most])
        if most is not None and len(of_object) > most:
            yield f"{path}: … and {count(len(of_object) - most, 'more problem')} (-v shows all)"


@command("optimise")
@dry_run_option
def optimise_command(settings: Settings, dry_run: bool) -> None:
    """Files in the store never change, so equal files can share their disk space."""
    from vstore.api.maintenance import optimise

    with settings.open_store() as store:
        done = optimise(store, dry_run=dry_run, reporter=settings.reporter)
    document: OptimiseDocument = {
        "objects": done.objects,
        "shared_files": done.shared_files,
        "saved_bytes": done.saved_bytes,
        "dry_run": dry_run,
    }
    verb = "would share" if dry_run else "shared"
    settings.emit(document, lambda: f"{verb} {count(done.shared_files, 'file')}, which saves {size(done.saved_bytes)}")


@command("reindex")
def reindex_command(settings: Settings) -> None:
    """The new index is made from the manifests and profiles on disk. Only the times of last use, the durations of
    builds and the cached results of `realise` are lost.
    """
    from vstore.api.maintenance import reindex

    number = reindex(settings.location(), settings.reporter)
    document: ReindexDocument = {"objects": number}
    settings.emit(document, lambda: f"indexed {count(number, 'object')}")


@command("doctor")
def doctor_command(settings: Settings) -> None:
    """The exit code is 14 if something is found."""
    from vstore.api.doctor import diagnose

    root = settings.location()
    found = diagnose(root, reporter=settings.reporter)
    text = "\n".join(f"- {finding}" for finding in found.findings) or f"no problems of {root}"
    if found.protection is None:
        text += f"\nthere is no store at {root} yet; `vstore realise` makes it"
    else:
        text += f"\nobjects: {_PROTECTIONS[found.protection]}"
    document: DoctorDocument = {
        "root": str(root),
        "findings": [{"id": one.id, "level": one.level, "text": one.text} for one in found.findings],
        "objects": found.protection,
    }
    settings.emit(document, lambda: text)
    if found.findings:
        sys.exit(FOUND_SOMETHING)
