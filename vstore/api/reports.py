"""The report: one HTML page about a store, for people who would rather look than read.

Example::

    from pathlib import Path
    from vstore.api import reports, stores

    with stores.open_store() as store:
        content = reports.write_report(store, Path("store.html"))
        print(content.plan.freed_bytes)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from vstore import __version__
from vstore.api import doctor
from vstore.api.gc import CollectionPlan, GcOptions, limits_of, plan_gc
from vstore.errors import VstoreError
from vstore.extras import require_extra
from vstore.fs.place import claim, put_bytes
from vstore.fs.reading import read_start
from vstore.fs.trees.usage import InodeCache
from vstore.report.content import (
    Answers,
    Content,
    Finding,
    Origins,
    ReportedGeneration,
    ReportedObject,
    ReportedRoot,
    read_content,
)
from vstore.report.page import GENERATOR, render
from vstore.reporter import Reporter
from vstore.store import Store

__all__ = [
    "Content",
    "Finding",
    "Origins",
    "ReportedGeneration",
    "ReportedObject",
    "ReportedRoot",
    "write_report",
]

_HEAD_BYTES = 1024


def write_report(
    store: Store, file: Path, *, findings: Iterable[Finding] = (), reporter: Reporter | None = None
) -> Content:
    """Write the page, whole or not at all, and return its content. `findings` are shown beside those of `doctor` and,
    if config.toml names a database of advisories, those of an audit.

    The plan of a collection is that of the limits in config.toml. Raises UsageError without the extra ``report``, or if
    the file exists and is not such a page.
    """
    require_extra("report", "reports")
    place = claim(file, _is_report, store=store.layout.root)
    inodes = InodeCache()
    diagnosis = doctor.diagnose(store.layout.root, inodes=inodes, reporter=reporter)
    collection = diagnosis.collection or plan_gc(store, GcOptions(limits_of(store)), inodes=inodes)
    plan = collection.found
    assert isinstance(plan, CollectionPlan)
    found = [Finding(source="doctor", level=one.level, text=one.text) for one in diagnosis.findings]
    answers = Answers(
        plan=plan, forgotten=collection.forgotten, findings=(*findings, *_audited(store, reporter), *found)
    )
    content = read_content(store, answers, inodes, version=__version__, now=datetime.now(UTC), reporter=reporter)
    put_bytes(render(content).encode(), place)
    return content


def _audited(store: Store, reporter: Reporter | None) -> Iterator[Finding]:
    """Yield the known vulnerabilities of what is live, if config.toml names a database of advisories."""
    if store.config.audit_database is None:
        return
    from vstore.api import audits

    try:
        found = audits.audit_store(store, audits.open_database(store, reporter=reporter), reporter=reporter).found
    except VstoreError as error:
        yield Finding(source="audit", level="warning", text=f"no audit: {error.message}")
        return
    for one in found:
        severity = f", {one.severity}" if one.severity else ""
        places = [f"{exposure.profile} ({exposure.way})" for exposure in one.exposures]
        places += [root.name for root in one.roots]
        text = f"{one.package} {one.version} has {one.id}{severity}: {one.summary}"
        yield Finding(source="audit", level="error", text=f"{text}; reached by {', '.join(places)}")


def _is_report(path: Path, _: os.stat_result) -> bool:
    return GENERATOR in read_start(path, _HEAD_BYTES)
