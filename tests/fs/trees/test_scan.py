"""Reading trees: what is said of files that cannot be read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from vstore.fs.folder import Folder
from vstore.fs.trees.scan import scan


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX systems")
@pytest.mark.parametrize(
    ("mode", "told"),
    [(0o444, "Permission denied, because its folder cannot be entered: 'd/e/b'"), (0o000, "Permission denied: 'd/e'")],
)
def test_a_file_that_cannot_be_read_is_named_by_its_path_in_the_tree(tmp_path: Path, mode: int, told: str) -> None:
    (tmp_path / "tree" / "d" / "e").mkdir(parents=True)
    (tmp_path / "tree" / "d" / "e" / "b").write_text("x")
    (tmp_path / "tree" / "d" / "e").chmod(mode)
    user = os.geteuid()
    with Folder.open(tmp_path, "tree") as folder:
        try:
            if user == 0:
                os.seteuid(65534)  # root reads everything
            with pytest.raises(PermissionError) as error:
                scan(folder)
        finally:
            os.seteuid(user)
            (tmp_path / "tree" / "d" / "e").chmod(0o755)
    assert str(error.value).endswith(told)
