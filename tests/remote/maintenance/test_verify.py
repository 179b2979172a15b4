"""A check of a cache goes on after an entry that is no file, and names it once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, TRUST, Machine, folder_cache, machine
from vstore.remote import Pusher, Signer, verify_cache
from vstore.sbom_format import Sbom, SbomFormat


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("verify")
    with machine(folder / "builder") as builder:
        cache, path = folder_cache(folder / "cache"), builder.add("low")
        builder.push(cache, path)
        Pusher(builder.store, cache, Signer((KEY,)), reporter=builder.said).push_sbom(
            Sbom(path, SbomFormat.CYCLONEDX, b"{}")
        )
        yield builder


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("objects/*/*.json", "FIFO"),
        ("realisations/*/*.json", "FIFO"),
        ("sboms/*/*.record.json", "FIFO"),
        ("sboms/*/*.cdx.json", "FIFO"),
        ("sboms/*/*.cdx.json", "folder"),
        ("archives/*/*", "FIFO"),
        ("archives/*/*", "folder"),
    ],
)
def test_an_entry_that_is_no_file_is_a_problem(builder: Machine, tmp_path: Path, pattern: str, kind: str) -> None:
    place = tmp_path / "cache"
    shutil.copytree(builder.store.layout.root.parent / "cache", place)
    (odd,) = place.glob(pattern)
    odd.unlink()
    (os.mkfifo if kind == "FIFO" else os.mkdir)(odd)
    for contents in (False, True):
        _, problems = verify_cache(
            builder.store, folder_cache(place), contents=contents, trust=TRUST, reporter=builder.said
        )
        (named,) = (one.problem for one in problems if one.key == str(odd.relative_to(place)))
        assert named.endswith(f"it is a {kind}, not a regular file")
