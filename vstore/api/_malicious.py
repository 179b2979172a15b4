"""Refusing malicious packages before anything of them is fetched, where the settings name a database of advisories."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from vstore.lock import LockedLayer
from vstore.realise.session import Session

if TYPE_CHECKING:
    from vstore.audit.database import AdvisoryDatabase


def refusing_malicious(session: Session) -> Session:
    """Return the session with a check of each lock against the configured database, if there is one."""
    place = session.store.config.audit_database
    if place is None:
        return session

    @cache
    def database() -> AdvisoryDatabase:
        from vstore.api.audits import open_database

        return open_database(session.store, place, reporter=session.reporter)

    def check(locked: LockedLayer) -> None:
        from vstore.audit.malicious import refuse_malicious

        refuse_malicious(database(), locked)

    return replace(session, check_lock=check)
