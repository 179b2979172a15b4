"""`verify`, `optimise`, `reindex` and `doctor`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from vstore.api.stores import optimise, reindex, verify
from vstore.cli.settings import Settings, command, size
from vstore.errors import StoreError, VstoreError


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


@command("doctor")
def doctor_command(settings: Settings) -> None:
    """Say what is odd on this machine or in this store, and what to do."""
    root = settings.location()
    findings = [*_about_root(root), *_about_store(settings)]
    text = "\n".join(f"- {finding}" for finding in findings)
    settings.emit({"root": str(root), "findings": findings}, lambda: text or f"nothing odd about {root}")


def _about_root(root: Path) -> list[str]:
    findings = []
    words = {"cache", ".cache", "tmp", "scratch"} & {part.lower() for part in root.parts}
    if words:
        findings.append(f"the root lies under {sorted(words)[0]!r}, which others may clean; choose another with --root")
    if not root.exists():
        return [*findings, f"there is no store at {root} yet; `vstore realise SPEC` makes it"]
    if not os.access(root, os.W_OK):
        findings.append(f"{root} is not writable by this user; only list, info, run and verify will work")
    cache = root / "cache" / "uv"
    if cache.exists() and cache.stat().st_dev != root.stat().st_dev:
        findings.append(
            "cache/uv is on another file system than the store: every install copies; put both on the same one"
        )
    free = shutil.disk_usage(root).free
    if free < 1 << 30:
        findings.append(f"only {size(free)} free; `vstore gc --dry-run` shows what can go")
    return findings


def _about_store(settings: Settings) -> list[str]:
    try:
        with settings.open_store(read_only=True) as store:
            _, problems = verify(store, contents=False, report=settings.report)
    except VstoreError as error:
        return [error.message + (f" ({error.hint})" if error.hint else "")]
    return [f"{problem.path}: {problem.problem}" for problem in problems]
