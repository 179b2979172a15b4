"""A file system that has bytes free and no inodes is told as such."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from tests.mounts import mounted
from vstore.cli.errors import explain


def fill(folder: Path) -> None:
    for number in count():
        (folder / str(number)).touch()


@pytest.mark.root
def test_no_inodes_left_is_told_with_what_helps(tmp_path: Path) -> None:
    options = "size=1m,nr_inodes=8"
    with mounted(tmp_path / "small", "mount", "-t", "tmpfs", "-o", options, "tmpfs") as small:
        with pytest.raises(OSError, match="No space left") as caught:
            fill(small)
        told = explain(caught.value)
    assert told is not None
    assert told.message.startswith("no inodes left on the file system: ")
    assert told.hint is not None and "df -i" in told.hint
