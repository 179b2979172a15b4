"""Large files are on their way to the disk before all is flushed, whoever writes them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.reliability.crashes.sweep import why_no_strace

ADD = """
import sys; from pathlib import Path; from vstore.store import Store; from scripts.testing.trees import add
with Store.open(Path(sys.argv[1])) as store:
    add(store, "some", {"one": bytes(3 << 20), "two": bytes(2 << 20), "small": b"1", "smaller": b""})
"""
UNPACK = """
import os, sys
from vstore.archive.write import OpenFile; from vstore.fs.atomic import flush_filesystem
from vstore.fs.trees.manifest import Entry, EntryKind
entry = Entry(b"", EntryKind.FILE)
for name, size in {"one": 3 << 20, "two": 2 << 20, "small": 1}.items():
    with OpenFile(os.fsencode(f"{sys.argv[1]}-{name}"), entry) as file:
        file.write(memoryview(bytes(size)))
with OpenFile(os.fsencode(f"{sys.argv[1]}-copy"), entry) as file, open(f"{sys.argv[1]}-two", "rb") as source:
    file.copy(source.fileno(), 2 << 20)
flush_filesystem(".")
"""


@pytest.mark.skipif(why_no_strace() is not None, reason=str(why_no_strace()))
@pytest.mark.parametrize(("code", "large"), [(ADD, 2), (UNPACK, 3)], ids=["add", "unpack"])
def test_only_large_files_are_begun_with(tmp_path: Path, code: str, large: int) -> None:
    log = tmp_path / "log"
    trace = ["strace", "-f", "-qq", "-o", str(log), "-e", "trace=sync_file_range,syncfs"]
    subprocess.run([*trace, sys.executable, "-c", code, str(tmp_path / "place")], check=True)
    calls = re.findall(r"(sync_file_range|syncfs)\(.*= 0$", log.read_text(), re.MULTILINE)
    assert calls == ["sync_file_range"] * large + ["syncfs"]
