"""venvstacks' public example projects, unchanged but for the patch version of Python: lock, realise, run, hand over.

The files are copies from its repository, under the licence beside them. Its PyTorch example is in
`platforms/test_emulated.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from scripts.testing.world import World, asking_the_index
from tests.acceptance.projects import clean_environment
from vstore.build.interpreter.local import find_local
from vstore.python_version import PythonRequirement

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.usefixtures("whole_pythons")]
EXAMPLES = Path(__file__).parent / "examples"


class Online(World):
    """A world that asks the index."""

    def environment(self) -> dict[str, str]:
        return asking_the_index(super().environment())


def run_sklearn(stack: Path, home: Path) -> None:
    """Both demonstrations compute, and draw into nothing."""
    for name, says in (("clustering-demo", "k-means++"), ("classification-demo", "")):
        environment = clean_environment(MPLBACKEND="Agg", HOME=str(home))
        done = subprocess.run([stack / "bin" / name], capture_output=True, text=True, env=environment, cwd=home)
        assert done.returncode == 0 and says in done.stdout, done.stderr


def run_jupyterlab(stack: Path, home: Path) -> None:
    """The server answers, serves its page, and starts a kernel that belongs to the layer."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        address = f"127.0.0.1:{one.getsockname()[1]}"
    settings = {"ip": "127.0.0.1", "port": address.rpartition(":")[2], "token": "secret"}
    options = ["--no-browser", "--allow-root", *(f"--ServerApp.{key}={value}" for key, value in settings.items())]
    with open(home / "said", "wb") as said:
        server = subprocess.Popen(
            [str(stack / "bin/jupyterlab"), *options],
            stdout=said,
            stderr=said,
            env=clean_environment(HOME=str(home)),
            cwd=home,
            start_new_session=True,
        )
    try:
        assert b"<title>JupyterLab</title>" in ask(server, f"http://{address}/lab"), (home / "said").read_text()
        assert json.loads(ask(server, f"http://{address}/api/kernels", b"{}"))["name"] == "python3"
    finally:
        server.terminate()  # it ends its kernel too
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def ask(server: subprocess.Popen[bytes], url: str, data: bytes | None = None) -> bytes:
    """What it answers, once it does."""
    request = Request(url, data, {"Authorization": "token secret"})
    until = time.monotonic() + 120
    while True:
        try:
            with urlopen(request, timeout=60) as answer:
                found: bytes = answer.read()
                return found
        except URLError:
            if server.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.2)


RUN: dict[str, Callable[[Path, Path], None]] = {"sklearn": run_sklearn, "jupyterlab": run_jupyterlab}


@pytest.fixture(scope="module", params=RUN)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, World]]:
    """A realised example; removed afterwards, since it is large."""
    local = find_local(os.environ, PythonRequirement("cpython", "3.11"))
    if not local:
        pytest.skip("no CPython 3.11 on this machine")
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    world = Online(folder, folder / "root")
    shutil.copytree(EXAMPLES / name, world.spec.parent)
    text = (world.spec.parent / "venvstacks.toml").read_text()
    world.spec.write_text(re.sub(r"cpython@3\.11\.\d+", f"cpython@{local[0].version}", text))
    world.run("lock", str(world.spec))
    assert world.json("realise", str(world.spec), "--locked")["changed"]
    yield name, world
    remove(folder)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "home").mkdir()
    yield tmp_path
    remove(tmp_path)


def remove(folder: Path) -> None:
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)
    shutil.rmtree(folder)


def test_it_runs_from_the_store(example: tuple[str, World], scratch: Path) -> None:
    name, world = example
    RUN[name](world.root / "profiles/project", scratch / "home")
    assert not world.json("realise", str(world.spec), "--locked", "--offline")["changed"]


@pytest.mark.skipif(shutil.which("zstd") is None, reason="tar needs zstd, which is not installed")
def test_published_and_unpacked_it_runs(example: tuple[str, World], scratch: Path) -> None:
    name, world = example
    done = world.json("publish", str(world.spec), "--output-dir", str(scratch / "out"))
    assert len(done["layers"]["applications"]) == len(list((world.root / "profiles/project/bin").iterdir()))
    (scratch / "there").mkdir()
    for archive in (scratch / "out").glob("*.tar.zst"):
        subprocess.run(["tar", "-xf", archive, "-C", scratch / "there"], check=True)
    (stack,) = (scratch / "there").glob("*-project-stack")
    RUN[name](stack, scratch / "home")


@pytest.mark.parametrize("links", ["symlink", "copy"])
def test_exported_it_runs(example: tuple[str, World], scratch: Path, links: str) -> None:
    name, world = example
    wanted = ("--links", links, "--include", "app-*")
    world.json("export", str(world.spec), "--output-dir", str(scratch / "out"), *wanted)
    programs = scratch / "stack/bin"
    programs.mkdir(parents=True)
    for layer in (scratch / "out").glob("app-*"):
        (programs / layer.name.removeprefix("app-")).symlink_to(layer / "libexec/launch")
    RUN[name](programs.parent, scratch / "home")
