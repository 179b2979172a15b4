"""The tools of one command, made once and handed on as one value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from vstore.cancel import Stop, Stoppable
from vstore.realise.model import NOBODY, Substitutes
from vstore.reporter import Report
from vstore.spec import Spec
from vstore.store import Store
from vstore.uv import Uv


@dataclass(frozen=True, kw_only=True)
class Session:
    """A store, uv, a reporter that also ends the work once `stop` is set, the caches to ask, and the time."""

    store: Store
    uv: Uv
    report: Report
    now: datetime
    jobs: int = 1
    substitutes: Substitutes = NOBODY
    stop: Stop = field(default_factory=Stop)

    @property
    def told(self) -> Report:
        """The reporter that raises Stopped in work that tells it of a stage, once the work is to end."""
        return Stoppable(self.report, self.stop)

    def reaching(self, spec: Spec) -> Self:
        """Return the session with uv reaching the places that a spec names."""
        return replace(self, uv=self.uv.reaching(spec.uv, spec.path.parent))
