"""One realised world for all tests of a run; tests marked `network` are skipped where the index is out of reach."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest
import uv
from hypothesis import settings

from tests.flows.world import World, make_world

_PATIENCE_SECONDS = 10
SLOW = (  # the rest takes some five minutes on two cores
    "tests/acceptance/",
    "tests/flows/test_disasters.py",
    "tests/flows/test_ending.py",
    "tests/flows/test_environments.py",
    "tests/flows/test_locking.py",
    "tests/flows/test_logins_of_indexes.py",
    "tests/flows/test_mistakes.py",
    "tests/flows/test_modules.py",
    "tests/flows/test_plan.py",
    "tests/flows/test_private_index.py",
    "tests/flows/test_readonly.py",
    "tests/flows/test_repair.py",
    "tests/flows/test_scenarios.py",
    "tests/flows/test_selection.py",
    "tests/flows/test_shared_caches.py",
    "tests/flows/test_shared_inodes.py",
    "tests/flows/test_signals.py",
    "tests/flows/test_space.py",
    "tests/flows/test_special_files.py",
    "tests/flows/test_users.py",
    "tests/flows/test_waiting.py",
    "tests/platforms/test_emulated.py",
    "tests/platforms/test_handing.py",
    "tests/publish/test_bundle_file.py",
    "tests/publish/test_export.py",
    "tests/reliability/",
    "tests/remote/test_flow.py",
    "tests/remote/test_heal.py",
    "tests/remote/test_hostile.py",
    "tests/remote/test_interrupted.py",
    "tests/remote/test_killed_uploads.py",
    "tests/remote/test_logins.py",
    "tests/remote/serving/test_site.py",
    "tests/remote/test_transports.py",
    "tests/uv/test_environment.py",
)

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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="Run the slow tests too.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out slow tests, unless they are asked for by ``--all`` or by a path."""
    if config.getoption("--all") or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    slow = [item for item in items if item.nodeid.startswith(SLOW)]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if not item.nodeid.startswith(SLOW)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("network") is not None and (reason := why_no_index()) is not None:
        pytest.skip(f"the package index cannot be reached: {reason}")


@pytest.fixture(scope="session")
def realised(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with one generation that tests only read."""
    world = make_world(tmp_path_factory.mktemp("realised"))
    result = world.realise()
    assert result["changed"] and result["generation"] == 1
    return world


@pytest.fixture
def world(realised: World, tmp_path: Path) -> World:
    """A private copy of it."""
    return realised.copy(tmp_path / "w")
