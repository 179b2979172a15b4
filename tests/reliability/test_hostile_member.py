"""A hostile member of a shared store turns none of root's commands against what is not the store's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from scripts.reliability.hostile.hostile_member import TRICKS, member, play

pytestmark = pytest.mark.slow

_SAMPLE = (
    "tmp/trash is a link", "gcroots/temp is a FIFO", "tmp is the member's, its trash a link", "links in the trash",
    "the note of an optimise leads outside", "the lock gc is a link", "a root's pin has ended, its link is root's",
    "a manifest is a FIFO", "a folder of an object is a link", "a file of an object is an equal hard link",
    "the index is a link to another database", "tmp/trash is swapped all the time",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def played(as_root: None) -> Iterator[None]:
    if shutil.which("useradd") is None:
        pytest.skip("useradd is not installed")
    with member():
        yield


def test_there_are_many() -> None:
    assert len(TRICKS) >= 50 and set(_SAMPLE) <= TRICKS.keys()


@pytest.mark.parametrize("name", _SAMPLE)
def test_nothing_outside_is_touched(name: str) -> None:
    play(name)
