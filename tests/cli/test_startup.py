"""The modules that short commands load: each costs time at every start. scripts/bench/start.py measures it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vstore.store import Store

RUN = """
import os, sys
leave = os._exit
def left(code):
    with open(sys.argv.pop(), "w") as file:
        file.write("\\n".join([str(code), *sorted(sys.modules)]))
    leave(code)
os._exit = left
from vstore.cli import main
main(sys.argv[1:-1])
"""
STANDARD = {"asyncio", "concurrent.futures", "dataclasses", "email", "http", "importlib.metadata", "logging", "shutil"}
STANDARD |= {"multiprocessing", "random", "socket", "subprocess", "tempfile", "tomllib", "urllib.request"}
OTHERS = {"nacl", "obstore", "packaging", "platformdirs", "rich", "sqlite_utils", "tomli_w", "urllib3", "uv"}
OURS = {"vstore.archive", "vstore.build", "vstore.cli.progress", "vstore.gc", "vstore.lock", "vstore.publish"}
OURS |= {"vstore.remote", "vstore.spec", "vstore.uv", "vstore.workers"}
HEAVY = STANDARD | OTHERS | OURS


def loaded(folder: Path, *arguments: str) -> tuple[int, set[str]]:
    """The exit code of a command, and the modules that it has loaded at its end."""
    found = folder / "modules"
    command = [sys.executable, "-c", RUN, "--root", str(folder / "root"), *arguments, str(found)]
    subprocess.run(command, capture_output=True, check=False)
    code, *modules = found.read_text().splitlines()
    return int(code), set(modules)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("startup")
    Store.open(folder / "root").close()
    return folder


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["--nonsense"], ["list", "--nonsense"], ["realise", "--nonsense"]]
)
def test_what_needs_no_store_loads_none(folder: Path, arguments: list[str]) -> None:
    code, modules = loaded(folder, *arguments)
    assert code == (2 if "--nonsense" in arguments else 0)
    assert modules & (HEAVY | {"blake3", "json", "sqlite3", "vstore.store"}) == set()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["list"], 0), (["history", "none"], 13), (["switch", "none", "1"], 13), (["run", "none"], 13)],
)
def test_what_reads_the_index_loads_no_more_than_the_store(folder: Path, arguments: list[str], expected: int) -> None:
    code, modules = loaded(folder, *arguments)
    assert code == expected
    assert modules & HEAVY == set()
