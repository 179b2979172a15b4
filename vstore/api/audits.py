"""Audits: known vulnerabilities of what is live in a store, or in the locks of a spec.

Example::

    from vstore.api import audits, stores

    with stores.open_store(read_only=True) as store:
        database = audits.open_database(store, "advisories")
        for one in audits.audit_store(store, database).found:
            print(one.package, one.version, one.id, one.severity, one.fixed_in)
            for exposure in one.exposures:
                print(exposure.profile, exposure.since, exposure.way)
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from vstore.audit import audit as auditing
from vstore.audit.database import AdvisoryDatabase
from vstore.audit.model import (
    Advisory,
    Audit,
    AuditIgnore,
    Bound,
    ExposedRoot,
    Exposure,
    Severity,
    Vulnerability,
    WayKind,
    WayOut,
)
from vstore.audit.sarif import sarif_log
from vstore.audit.sources import AdvisoryFile, AdvisorySource, LocalSource
from vstore.errors import UsageError
from vstore.fs.paths import absolute
from vstore.lock import Project
from vstore.objects import StorePath
from vstore.profile import history
from vstore.reporter import Reporter
from vstore.store import Store

__all__ = [
    "Advisory",
    "AdvisoryDatabase",
    "AdvisoryDiff",
    "AdvisoryFile",
    "AdvisorySource",
    "Audit",
    "AuditIgnore",
    "Bound",
    "ExposedRoot",
    "Exposure",
    "Severity",
    "Vulnerability",
    "WayKind",
    "WayOut",
    "audit_locks",
    "audit_store",
    "compare_generations",
    "open_database",
    "sarif_log",
]


class AdvisoryDiff(NamedTuple):
    """The known vulnerabilities that only one of two generations has. They have no places."""

    gone: tuple[Vulnerability, ...]
    new: tuple[Vulnerability, ...]


def open_database(store: Store, place: str | None = None, *, reporter: Reporter | None = None) -> AdvisoryDatabase:
    """Return the database of advisories at a place: a folder, an archive or a URL; by default the configured one.

    What was parsed is kept in the store for the next time, if this user may write there. Raises UsageError if there is
    no database or the extra `audit` is not installed, and CacheError if a server does not answer.
    """
    place = place or store.config.audit_database
    if place is None:
        raise UsageError(
            "no database of advisories is given",
            hint="give --database PLACE, or run `vstore config set audit.database PLACE`;"
            " PLACE is a folder, an archive or a URL of advisories in the format of OSV",
        )
    return AdvisoryDatabase.open(_source(place), store.layout.advisories, reporter=reporter)


def _source(place: str) -> AdvisorySource:
    if "://" not in place:
        return LocalSource(absolute(place))
    from vstore.audit.remote_source import RemoteSource  # loads the transports

    return RemoteSource(place)


def audit_store(
    store: Store,
    database: AdvisoryDatabase,
    what: StorePath | None = None,
    *,
    now: datetime | None = None,
    reporter: Reporter | None = None,
) -> Audit:
    """Look up the packages of all live objects, or of `what` and all that it refers to.

    Raises UsageError if a file of ignores is malformed.
    """
    return auditing.audit_store(store, database, what=what, today=(now or datetime.now(UTC)).date(), reporter=reporter)


def audit_locks(
    project: Project,
    database: AdvisoryDatabase,
    *,
    root: Path | None = None,
    now: datetime | None = None,
    reporter: Reporter | None = None,
) -> Audit:
    """Look up the packages in the locks of a spec. `root` is that of a store, whose ignores hold too.

    Raises LockError if there is no lock or one is malformed, and UsageError if a file of ignores is.
    """
    today = (now or datetime.now(UTC)).date()
    return auditing.audit_locks(project, database, root=root, today=today, reporter=reporter)


def compare_generations(store: Store, database: AdvisoryDatabase, profile: str, old: int, new: int) -> AdvisoryDiff:
    """Return the vulnerabilities that come and go between two generations of a profile.

    Raises NotFoundError if there is no such profile, KeyError if there is no such generation.
    """
    stacks = {one.number: one.path for one in history(store, profile)}
    before, after = (auditing.vulnerabilities_of(store, database, stacks[one]) for one in (old, new))
    return AdvisoryDiff(gone=_only_in(before, after), new=_only_in(after, before))


def _only_in(found: Iterable[Vulnerability], others: Iterable[Vulnerability]) -> tuple[Vulnerability, ...]:
    known = {(one.package, name) for one in others for name in one.identifiers}
    return tuple(one for one in found if known.isdisjoint((one.package, name) for name in one.identifiers))
