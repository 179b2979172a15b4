"""Putting damaged objects right: in place where that is enough, else from a cache, else by building them again.

Damaged objects are distrusted: for this process they are not there. So what brings an object or builds one brings or
builds these, the lowest first, lends from none of them, and `Store.add` exchanges the result with what was damaged.
A build that does not give the same bytes again is not taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from vstore.errors import VstoreError
from vstore.objects import StorePath
from vstore.realise.model import Request
from vstore.realise.realise import realise
from vstore.realise.remembered import inputs_key
from vstore.realise.session import Session
from vstore.remote import refetch
from vstore.report import Report
from vstore.spec import load
from vstore.store import GenerationRow, Store
from vstore.store.verify import Problem, mend, mend_links, verify
from vstore.target import Target
from vstore.uv import Uv


def repair(
    store: Store,
    problems: list[Problem],
    *,
    uv: Uv,
    jobs: int,
    environment: Mapping[str, str],
    report: Report,
    now: datetime,
) -> list[Problem]:
    """Repair what `verify` found wrong; returns what is wrong still, found by looking again."""
    session = Session(store=store, uv=uv, report=report, now=now, jobs=jobs)
    damaged = {problem.path for problem in problems if problem.profile is None}
    store.distrust(damaged)
    for path in sorted(damaged):
        report.stage("repair", f"looking at {path.name}")
        mend(store, path)
    if store.distrusted and not uv.offline:
        refetch(store, report=report)
    for row, request in _sources(
        store,
        Request(spec=Path(), locked=True, offline=uv.offline, jobs=jobs, generation=False, environment=environment),
    ):
        try:
            realise(session, request)
        except VstoreError as error:
            report.warn(f"generation {row.number} of {row.profile} cannot be made again: {error.message}", error.hint)
    mend_links(store, problems)
    return verify(store, contents=True, only={problem.path for problem in problems}, jobs=jobs, report=report)[1]


def _sources(store: Store, request: Request) -> Iterator[tuple[GenerationRow, Request]]:
    """The generations with damaged objects whose inputs, as they lie there now, give the same stack; newest first."""
    rows = [row for profile in store.generations.profiles() for row in store.generations.of(profile)]
    for row in sorted(rows, key=lambda row: row.created_at, reverse=True):
        if row.spec_path is None or not _needed(store, row.path) & store.distrusted:
            continue
        try:
            spec = load(Path(row.spec_path), environment=request.environment)
            keys = {target: inputs_key(spec, target, request) for target in Target}
        except (VstoreError, OSError):
            continue
        for target, key in keys.items():
            if store.index.memo(key) == row.path:
                yield row, replace(request, spec=spec.path, target=target)


def _needed(store: Store, stack: StorePath) -> set[StorePath]:
    """The closure of a stack and the inputs of its objects."""
    closure = store.closure([stack])
    return closure | {one for path in closure if (info := store.index.info(path)) for one in info.inputs}
