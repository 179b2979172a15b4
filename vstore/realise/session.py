"""The tools of one command, made once and handed on as one value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from vstore.cancel import CancelToken
from vstore.realise.model import NOBODY, Substituter
from vstore.reporter import CancellableReporter, Reporter
from vstore.spec import Spec
from vstore.store import Store
from vstore.uv import Uv


@dataclass(frozen=True, kw_only=True)
class Session:
    """A store, uv, a reporter that also ends the work once `cancel` is set, the caches to ask, and the time."""

    store: Store
    uv: Uv
    reporter: Reporter
    now: datetime
    jobs: int = 1
    substitutes: Substituter = NOBODY
    cancel: CancelToken = field(default_factory=CancelToken)

    @property
    def told(self) -> Reporter:
        """The reporter that raises Cancelled in work that tells it of a stage, once the work is to end."""
        return CancellableReporter(self.reporter, self.cancel)

    def reaching(self, spec: Spec) -> Self:
        """Return the session with uv reaching the places that a spec names."""
        return replace(self, uv=self.uv.reaching(spec.uv, spec.path.parent))
