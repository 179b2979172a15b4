"""A process that dies, or is told of a broken disk, at any step leaves a store that is intact and goes on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.reliability.crashes.sweep import (
    EXCHANGE_POINTS,
    MUTATING,
    OPTIMISE_POINTS,
    SOURCE,
    STORE_POINTS,
    fail_at,
    inject,
    journey,
    kill_at,
    kill_exchange_at,
    kill_optimise_at,
    recover,
    vstore,
    why_no_strace,
)
from vstore.errors import StoreError
from vstore.fs.faults import Point
from vstore.store import Store
from vstore.store.health.reindex import reindex


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One root for all, as a machine has: what one death leaves, the next command meets."""
    return tmp_path_factory.mktemp("swept") / "root"


@pytest.mark.parametrize("point", STORE_POINTS)
def test_killed_at_each_step(root: Path, point: Point) -> None:
    assert kill_at(root, point, 1, f"kill-{point}"), "the step was never reached"


@pytest.mark.parametrize("point", EXCHANGE_POINTS)
def test_killed_at_each_step_of_push_and_pull(root: Path, point: Point) -> None:
    """The cache lists nothing incomplete, both stores are intact, and the next push and pull go on."""
    folder = root.parent / "exchange"
    assert kill_exchange_at(folder, f"file://{folder}/cache", point, 1, f"kill-{point}"), "the step was never reached"


@pytest.mark.parametrize("point", OPTIMISE_POINTS)
@pytest.mark.parametrize("then", [["gc"], ["optimise"], ["verify", "--repair", "--offline"]], ids=" ".join)
def test_killed_at_each_step_of_sharing_files(tmp_path: Path, point: Point, then: list[str]) -> None:
    assert kill_optimise_at(tmp_path / "root", point, 2, then=then), "the step was never reached"


@pytest.mark.parametrize("point", [Point.ADD_DESCRIBED, Point.INDEX_WRITTEN, Point.LINK_MADE, Point.GC_MOVED])
@pytest.mark.parametrize("action", ["enospc", "eio"])
def test_a_step_that_fails(root: Path, point: Point, action: str) -> None:
    fail_at(root, point, action, f"fail-{point}-{action}")


def test_every_point_is_in_the_code() -> None:
    """The list of steps and the calls in the code are the same; the sweep above shows that each is reached."""
    code = "".join(file.read_text("utf-8") for file in (SOURCE / "vstore").rglob("*.py"))
    assert set(re.findall(r"reached\(Point\.(\w+)\)", code)) == set(Point.__members__)


@pytest.mark.slow
@pytest.mark.skipif(why_no_strace() is not None, reason=str(why_no_strace()))
@pytest.mark.parametrize(
    ("call", "occurrence"),
    [
        ("pwrite64", 125),
        ("write", 6),
        ("fdatasync", 9),
        ("syncfs", 1),
        ("renameat", 4),
        ("renameat2", 2),
        ("unlink", 5),
        ("utimensat", 4),
    ],
)
@pytest.mark.parametrize("what", ["error=EIO", "signal=KILL"])
def test_a_system_call_that_fails_or_never_returns(root: Path, call: str, occurrence: int, what: str) -> None:
    assert call in MUTATING
    token = f"{call}-{occurrence}-{what}"
    ended, struck = inject(root, call, what, occurrence, token)
    assert struck, f"there was no {occurrence}th {call}"
    assert ended.code in (0, 1, -9, 137) and "Traceback" not in ended.error, ended.error
    recover(root, token)


def test_killed_while_reindexing_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """What is only in the log of the index, as after an earlier death, must not go with the log."""
    root = tmp_path / "root"
    made = journey(root, "one", fault=f"{Point.GENERATIONS_DROPPED}").told[-1]
    assert (root / "index.sqlite-wal").stat().st_size > 0, "there is something to lose"
    assert vstore(root, "reindex", fault=str(Point.REINDEX_LOG_GONE)).code == -9
    with pytest.raises(StoreError, match="run `vstore reindex`"), Store.open(root):
        pass
    assert reindex(root) == 3
    with Store.open(root) as store:
        assert made in [(row.number, str(row.path)) for row in store.generations.of("p")]
