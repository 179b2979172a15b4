"""`verify`, `optimise` and `reindex`."""

from __future__ import annotations

import sys

import click

from vstore.api.stores import optimise, reindex, verify
from vstore.cli.settings import Settings, command, size
from vstore.errors import StoreError


@command("verify")
@click.option("--contents", is_flag=True, help="Hash every file too.")
def verify_command(settings: Settings, contents: bool) -> None:
    """Check that index, manifests and objects agree; exit 6 when they do not."""
    with settings.open_store(read_only=True) as store:
        report = settings.report
        try:
            checked, problems = verify(store, contents=contents, report=report)
        finally:
            report.close()
    document = {
        "checked": checked,
        "problems": [{"path": str(problem.path), "problem": problem.problem} for problem in problems],
    }
    lines = [f"{problem.path}: {problem.problem}" for problem in problems]
    settings.emit(document, lambda: "\n".join([*lines, f"checked {checked} objects, {len(problems)} problems"]))
    if problems:
        sys.exit(StoreError.exit_code)


@command("optimise")
@click.option("--dry-run", is_flag=True, help="Say what would be saved, and stop.")
def optimise_command(settings: Settings, dry_run: bool) -> None:
    """Let equal files of different objects be hard links to one."""
    with settings.open_store() as store:
        try:
            done = optimise(store, dry_run=dry_run, report=settings.report)
        finally:
            settings.report.close()
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
    """Rebuild the index from the manifests and profiles on disk."""
    count = reindex(settings.location(), settings.report)
    settings.emit({"objects": count}, lambda: f"indexed {count} objects")
