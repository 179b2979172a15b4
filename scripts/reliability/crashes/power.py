"""Cutting the power at any instant of a busy store's life."""

from __future__ import annotations

import os
import random
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.reliability.crashes.disk import mounted_image, recorded_disk
from scripts.reliability.crashes.promises import check_intact
from scripts.reliability.crashes.sweep import journey, recover, reindex_if_missing
from vstore.store import Store

DISK_BYTES = 96 << 20


@dataclass(slots=True)
class Cuts:
    """The cuts: all, those that lost unflushed writes and how many sectors, generations that had to be there."""

    cuts: int = 0
    lossy: int = 0
    sectors_lost: int = 0
    acknowledged: int = 0


def cut_power(folder: Path, *, lives: int, cuts: int, seed: int) -> dict[str, int]:
    """Record the lives of a store, then check what cuts at random instants leave of it. AssertionError if it is bad.

    Every fourth cut comes after a write that is not flushed, and loses all of its like.
    """
    chance, done = random.Random(seed), Cuts()
    with recorded_disk(folder, DISK_BYTES) as (mounted, recording):
        started = recording.position()
        told = [(started, 0)]
        for life in range(lives):
            ended = journey(mounted / "root", f"life-{life}")
            assert ended.code == 0, ended.error
            told.append((recording.position(), ended.told[-1][0]))
        instants, after_writes = recording.instants(started), recording.instants(started, unflushed=True)
        for number in range(cuts):
            cut, luck = chance.choice(instants), chance.choice((0.0, 0.5, 0.9, 1.0))
            if number % 4 == 0:
                cut, luck = chance.choice(after_writes), 0.0
            lost = recording.image(cut, folder / "image", chance, luck=luck)
            _check(folder, max(number for position, number in told if position <= cut), f"cut {number} at {cut}")
            done.cuts += 1
            done.lossy += lost > 0
            done.sectors_lost += lost
            done.acknowledged = max(told)[1]
    return asdict(done)


def _check(folder: Path, acknowledged: int, where: str) -> None:
    with mounted_image(folder / "image", folder / "after") as after:
        root = after / "root"
        if not root.is_dir():
            assert not acknowledged, f"{where}: the store is gone"
            return
        try:
            reindex_if_missing(root)
            check_intact(root)
            if acknowledged:
                with Store.open(root) as store:
                    assert store.generations.last_number("p") >= acknowledged, "what was acknowledged is gone"
            _lead_here(after / "p-link", root)
            recover(root, "after")
        except Exception as error:
            raise AssertionError(f"{where}: {error}") from error


def _lead_here(link: Path, root: Path) -> None:
    """Let a root outside of the store, which leads to the place that the store had, lead to where it is now."""
    if link.is_symlink():
        target = root / "store" / Path(os.readlink(link)).name
        link.unlink()
        link.symlink_to(target)
