"""A collector runs during the add of a large tree. Nix 2.8 told of success and registered truncated objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.reliability.crashes.nix import big_tree, race_nix, race_vstore, why_no_nix

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return big_tree(tmp_path_factory.mktemp("trees") / "big", file_bytes=1 << 20)


@pytest.mark.parametrize("delay_seconds", [0.0, 0.3])
def test_collecting_during_a_large_add(tmp_path: Path, tree: Path, delay_seconds: float) -> None:
    raced = race_vstore(tmp_path / "root", tree, delay_seconds)
    assert raced.exit_code == 0 and raced.registered and raced.whole


@pytest.mark.skipif(why_no_nix() is not None, reason=str(why_no_nix()))
def test_the_disturbance_is_a_real_one(tmp_path: Path, tree: Path) -> None:
    """Where Nix is told to collect during its add, its add fails, or succeeds without a whole object, at some delay."""
    for delay in range(10, 250, 20):
        raced = race_nix(tmp_path / str(delay), tree, delay / 1000)
        if raced.lied or raced.exit_code != 0:  # else it came before, or after, and took what was whole
            return
    pytest.skip("the collector never came in between here")
