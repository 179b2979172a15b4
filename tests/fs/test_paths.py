"""Paths in the commands of hints can be pasted."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from vstore.fs.paths import quoted, typed


def test_a_path_is_typed_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my proj"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    assert typed(folder / "spec.toml") == "my proj/spec.toml"
    assert quoted(folder / "spec.toml") == "'my proj/spec.toml'"
    assert typed(tmp_path / "-spec.toml") == "./-spec.toml"
    monkeypatch.chdir(folder)
    assert shlex.split(quoted(tmp_path / "spec.toml")) == [str(tmp_path / "spec.toml")]


def test_a_current_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert typed(tmp_path / "spec.toml") == str(tmp_path / "spec.toml")
