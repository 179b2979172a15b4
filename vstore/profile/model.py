"""A generation, as a value."""

from __future__ import annotations

from datetime import date, datetime

from vstore.digest import Digest
from vstore.objects import StorePath
from vstore.values import frozen


@frozen
class Generation:
    """One state of a profile: a stack, when it was made and last used, and the number of the one it replaced."""

    profile: str
    number: int
    path: StorePath
    created_at: datetime
    spec_path: str | None
    spec_digest: Digest | None
    replaced: int | None
    current: bool
    used_on: date | None = None
