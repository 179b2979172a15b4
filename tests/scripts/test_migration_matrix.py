"""The matrix of migrated projects reads the pins of a source by itself, and compares them with the locks."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.matrix.migration import Outcome, locked_versions, pins_of, same


def test_pins_are_read_without_the_code_of_vstore(tmp_path: Path) -> None:
    text = "Flask==3.0 ; os_name == 'posix'\n  - torch==2.1.0+cpu\nclick>=8\nrich == 13.0 \\\n    --hash=sha256:00\n"
    (tmp_path / "requirements.txt").write_text(text)
    expected = {"flask": {"3.0"}, "torch": {"2.1.0+cpu"}, "rich": {"13.0"}}
    assert pins_of(tmp_path / "requirements.txt") == expected
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "uv.lock").write_text("[[package]]\nname = 'A_b'\nversion = '1'\n[[package]]\nname = 'mine'\n")
    assert pins_of(tmp_path / "pyproject.toml") == {"a-b": {"1"}}
    (tmp_path / ".venv/lib/python3.11/site-packages/Some_thing-2.0.dist-info").mkdir(parents=True)
    assert pins_of(tmp_path / ".venv") == {"some-thing": {"2.0"}}


@pytest.mark.parametrize(
    ("version", "wanted", "kept"),
    [("2.0.0", {"2.0"}, True), ("2.1.0+cpu", {"2.1.0"}, True), ("2.1", {"2.0", "2.2"}, False)],
)
def test_versions_are_compared_as_installers_do(version: str, wanted: set[str], kept: bool) -> None:
    assert same(version, wanted) == kept


def test_packages_of_layers_below_are_counted_once(tmp_path: Path) -> None:
    folder = tmp_path / "requirements/app-x"
    folder.mkdir(parents=True)
    shared = "marker = \"sys_platform == 'from_lower_layer'\"\n"
    text = f'[[packages]]\nname = "a"\nversion = "1"\n{shared}[[packages]]\nname = "b"\nversion = "2"\n'
    (folder / "pylock.app-x.toml").write_text(text)
    assert list(locked_versions(tmp_path)) == [("b", "2")]


def test_the_row_says_what_changed() -> None:
    assert Outcome("x", "", changed=("a 2.0",)).line.endswith("| changed: a 2.0 |")
    assert Outcome("x", "").line.endswith("| every pin kept |")
