"""Options and markers of the whole suite, and one realised world that all tests of a run share.

`slow`: left out unless `--all` or a path is given; `fast`: not left out, though its file is slow.
`root`: skipped unless root gives `--as-root`.
`network`: skipped where the package index cannot be reached.
"""

from __future__ import annotations

import compileall
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import uv
from hypothesis import settings

from scripts.testing.forked import CommandPool
from scripts.testing.small_python import finding_whole_pythons, make_small_python, use_small_python
from scripts.testing.world import World, make_interpreter, make_world

_PATIENCE_SECONDS = 10

settings.register_profile("untimed", deadline=None)  # hypothesis's 200 ms would measure the machine
settings.load_profile("untimed")

# A shell lets what it starts in the background ignore Ctrl-C, and that is inherited: the programs under test would too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@cache
def why_no_index() -> str | None:
    """Ask the index as vstore does, with uv and its settings; None when it answers, else the reason."""
    environment = {**os.environ, "UV_HTTP_TIMEOUT": "5", "UV_HTTP_RETRIES": "0"}
    with tempfile.TemporaryDirectory() as folder:
        command = [uv.find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--cache-dir", f"{folder}/cache", "-"]
        try:
            done = subprocess.run(
                command,
                input="iniconfig\n",
                env=environment,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=_PATIENCE_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"it did not answer within {_PATIENCE_SECONDS} s"
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or [f"uv ended with {done.returncode}"])[-1].strip()


def why_not_as_root(config: pytest.Config) -> str | None:
    """Return why a test that needs root is skipped; None when it can run."""
    if not config.getoption("--as-root"):
        return "makes users, mounts or changes owners: needs root and --as-root"
    return None if hasattr(os, "geteuid") and os.geteuid() == 0 else "--as-root is given, but not by root"


def pytest_configure(config: pytest.Config) -> None:
    """Do once what each worker would do again: compile the sources, and make a small interpreter for layers.

    With PYTHONDONTWRITEBYTECODE set each process of the tests would compile the sources.
    """
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    compileall.compile_dir(Path(__file__).parents[1] / "vstore", quiet=2)
    folder = tempfile.mkdtemp(prefix="vstore-tests-python-")
    config.add_cleanup(lambda: shutil.rmtree(folder))
    Path(folder).chmod(0o755)  # other users run it too
    if (programs := make_small_python(Path(folder))) is not None:
        use_small_python(programs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this suite."""
    parser.addoption("--all", action="store_true", help="Run the slow tests too.")
    parser.addoption("--as-root", action="store_true", help="Run the tests that make users, mount or change owners.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that use `as_root`; leave out slow tests, unless `--all` or a path asks for them."""
    for item in items:
        if "as_root" in getattr(item, "fixturenames", ()):
            item.add_marker("root")
    if config.pluginmanager.hasplugin("_cov"):
        _measure_once(items)
    if config.getoption("--all") or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    slow = {item for item in items if item.get_closest_marker("slow") and not item.get_closest_marker("fast")}
    config.hook.pytest_deselected(items=list(slow))
    items[:] = [item for item in items if item not in slow]


def _measure_once(items: list[pytest.Item]) -> None:
    """Let coverage see one run of each test: measuring takes up to half a test's time, and other runs add little."""
    seen = set()
    for item in items:
        test = item.nodeid.partition("[")[0]
        if test in seen or getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("no_cover")
        seen.add(test)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests whose surroundings are missing."""
    if item.get_closest_marker("root") is not None and (reason := why_not_as_root(item.config)) is not None:
        pytest.skip(reason)
    if item.get_closest_marker("network") is not None and (reason := why_no_index()) is not None:
        pytest.skip(f"the package index cannot be reached: {reason}")


@pytest.fixture(scope="session")
def as_root() -> None:
    """For fixtures that need root: the tests that use them get the marker `root`."""


@pytest.fixture(scope="session", autouse=True)
def forked_commands() -> Iterator[None]:
    """Calls of vstore by a world are processes forked from one that has its modules loaded."""
    with CommandPool() as World.pool:
        yield
    World.pool = None


@pytest.fixture(scope="module")
def whole_pythons() -> Iterator[None]:
    """For modules whose interpreters must have their whole standard library: the small one is not found."""
    with finding_whole_pythons():
        yield


@pytest.fixture(scope="session")
def realised(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with one generation that tests only read."""
    world = make_world(tmp_path_factory.mktemp("realised"))
    result = world.realise()
    assert result["changed"] and result["generation"] == 1
    return world


@pytest.fixture(scope="session")
def only_interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root that holds only the interpreter of worlds, for tests to copy: adopting it takes longer."""
    return make_interpreter(tmp_path_factory.mktemp("interpreter"))


@pytest.fixture
def world(realised: World, tmp_path: Path) -> World:
    """A private copy of it."""
    return realised.copy(tmp_path / "w")
