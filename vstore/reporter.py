"""What a long piece of work says while it runs. Values only; `vstore.cli.progress` shows them."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Unit(StrEnum):
    """The unit of progress."""

    ITEMS = "items"
    BYTES = "bytes"
    PACKAGES = "packages"


class Reporter(Protocol):
    """Told what happens; may be called from several threads."""

    def stage(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None:
        """`subject` (a layer, a file) is now at `activity`; `done` and `total` are in `unit`, 0 if unknown."""

    def finished(self, subject: str, outcome: str, seconds: float) -> None:
        """`subject` needs no more work; `outcome` is one word such as ``built``."""

    def note(self, text: str) -> None:
        """Something a person may like to know."""

    def warn(self, text: str, hint: str | None = None) -> None:
        """Something odd that does not stop the work."""


class NullReporter:
    """A report nobody reads."""

    def stage(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None: ...
    def finished(self, subject: str, outcome: str, seconds: float) -> None: ...
    def note(self, text: str) -> None: ...
    def warn(self, text: str, hint: str | None = None) -> None: ...
