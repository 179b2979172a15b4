"""The root of a store that the user does not name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vstore.errors import StoreError
from vstore.store.default_root import is_substitute, substitute_root, usable_root

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have their own data folders")
NOBODY = 65534
RUN = """
import os, sys
from pathlib import Path
from vstore.store.default_root import usable_root
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
print(usable_root(Path(sys.argv[1])))
"""


def as_ordinary_user(root: Path) -> str:
    done = subprocess.run([sys.executable, "-c", RUN, root], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_home_folder_is_used_if_it_can_be_written(tmp_path: Path) -> None:
    assert usable_root(tmp_path / "home/.local/share/vstore") == tmp_path / "home/.local/share/vstore"
    assert not is_substitute(tmp_path)


def test_without_a_home_folder_the_store_is_in_var_tmp() -> None:
    user = NOBODY if os.getuid() == 0 else os.getuid()
    for home in ("/nonexistent/.local/share/vstore", "/proc/vstore", "/etc/passwd/vstore"):
        assert as_ordinary_user(Path(home)) == f"/var/tmp/vstore-{user}"


def test_a_store_that_exists_is_used_also_where_its_parent_is_not_ours(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "share").mkdir(mode=0o755)
    (tmp_path / "share/vstore").mkdir()
    assert usable_root(tmp_path / "share/vstore") == tmp_path / "share/vstore"


@pytest.mark.parametrize("trap", ["link", "open", "file"])
def test_what_others_put_there_is_refused(tmp_path: Path, trap: str) -> None:
    place = tmp_path / f"vstore-{os.getuid()}"
    if trap == "link":
        place.symlink_to(tmp_path)
    elif trap == "file":
        place.touch()
    else:
        place.mkdir()
        place.chmod(0o777)
    with pytest.raises(StoreError, match="is not only this user's"):
        substitute_root(tmp_path)
