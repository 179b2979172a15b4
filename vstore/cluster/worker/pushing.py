"""The object of a node in the cache: whether it is there, whether it can be read again, and the requests for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote import Cache, Signer, Trust
from vstore.remote.maintenance.integrity import quick_archive_fault
from vstore.remote.records.model import Realisation
from vstore.reporter import CancellableReporter, Detail, Reporter
from vstore.values import frozen

_PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # in seconds, before a pushed record is read again


class RequestCounter(CancellableReporter):
    """Passes reports on, and counts requests. An answer takes those since the last answer of the worker."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(reporter)
        self._pass_on = reporter.detail
        self._count = 0
        self._lock = threading.Lock()
        self.detail = self._counted

    def take(self) -> int:
        """Return the number of requests since the last call."""
        with self._lock:
            taken, self._count = self._count, 0
        return taken

    def _counted(self, text: str | Callable[[], str], kind: Detail = Detail.DECISION) -> None:
        with self._lock:
            self._count += kind == Detail.CALL
        self._pass_on(text, kind)


@frozen(kw_only=False)
class AllBut:
    """All store paths but one."""

    path: StorePath

    def __contains__(self, path: object) -> bool:
        return path != self.path


def has_pushed(cache: Cache, own: Realisation, signer: Signer) -> bool:
    """Return whether the cache has the realisation, the object and its archive, signed by all keys of the signer."""
    found, record = cache.realisation(own.recipe, signer.own), cache.object(own.path, signer.own)
    return (
        found is not None
        and record is not None
        and found.fingerprint == own.fingerprint
        and signer.has_signed(found)
        and signer.has_signed(record)
        and quick_archive_fault(cache, record) is None
    )


def read_back(cache: Cache, own: Realisation, trust: Trust, *, stated: bool) -> Realisation:
    """Return the object that the cache has for a recipe, once it can be read there; `own` unless it is `stated`.

    Another builder may have stated another object before, which then counts. Raises CacheError if the object cannot be
    read, or if the cache states one that is not trusted.
    """
    for pause in _PAUSES:
        time.sleep(pause)
        found = cache.realisation(own.recipe, trust) if stated else own
        if found is not None and cache.object(found.path, trust) is not None:
            if found.path != own.path and not trust.trusts(found):
                raise CacheError(f"{cache.name} states {found.path} for the recipe of {own.path}, by an unknown key")
            return replace(found, signatures=())
    raise CacheError(f"{cache.name} does not show {own.path} {sum(_PAUSES):g} s after it was pushed")
