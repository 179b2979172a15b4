"""Tests of the reporters."""

from __future__ import annotations

from vstore.reporter import ByteProgress, NullReporter, RenamingReporter, Unit


class Lines(NullReporter):
    """Keeps the progress and the outcomes."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    def progress(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None:
        self.seen.append((subject, activity, done, total, unit))

    def completed(self, subject: str, outcome: str, seconds: float) -> None:
        self.seen.append((subject, outcome))


def test_bytes_add_up_from_zero_and_may_have_other_words() -> None:
    lines = Lines()
    reporter = RenamingReporter(lines, {"push": "pack", "pushing": "writing", "pushed": "packed"})
    progress = ByteProgress(reporter, "push", "pushing", 50)
    progress.add(20)
    progress.add(30)
    reporter.completed("numpy", "pushed", 1.0)
    steps = [("pack", "writing", done, 50, Unit.BYTES) for done in (0, 20, 50)]
    assert lines.seen == [*steps, ("numpy", "packed")]
