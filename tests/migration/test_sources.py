"""pylock.toml, environment.yml, scripts and virtual environments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from vstore.errors import UsageError
from vstore.migration import Choice, SourceProject, existing_spec, read_source_project

PYLOCK = """\
lock-version = "1.0"
created-by = "hand"
requires-python = ">=3.11"
extras = ["gpu"]
dependency-groups = ["dev"]

[[packages]]
name = "web"
version = "1.0"
dependencies = [{ name = "num" }]
wheels = [{ url = "https://files.example/web-1.0-py3-none-any.whl", size = 10, hashes = { sha256 = "00" } }]

[[packages]]
name = "num"
version = "2.0"
wheels = [{ url = "https://files.example/num-2.0-py3-none-any.whl", hashes = { sha256 = "00" } }]
index = "https://private.example/simple"
marker = "sys_platform == 'linux'"

[[packages]]
name = "heavy"
version = "3.0"
wheels = [{ url = "https://files.example/heavy-3.0-py3-none-any.whl", hashes = { sha256 = "00" } }]
marker = "'gpu' in extras"

[[packages]]
name = "checker"
version = "4.0"
wheels = [{ url = "https://files.example/checker-4.0-py3-none-any.whl", hashes = { sha256 = "00" } }]
marker = "'dev' in dependency_groups and sys_platform == 'linux'"

[[packages]]
name = "mine"
vcs = { type = "git", url = "https://git.example/mine.git", commit-id = "abc" }
"""


def subjects(project: SourceProject) -> set[str]:
    return {one.subject for one in project.left_out}


def test_a_pylock(tmp_path: Path) -> None:
    (tmp_path / "pylock.toml").write_text(PYLOCK)
    project = read_source_project(tmp_path, Choice())
    assert project.requirements == ("web",)
    assert list(map(str, project.pins)) == ["web==1.0", 'num==2.0 ; sys_platform == "linux"']
    assert project.settings["sources"] == {"num": {"index": "private-example"}}
    assert {"extra gpu", "group dev", "mine from git+https://git.example/mine.git@abc"} <= subjects(project)
    chosen = read_source_project(tmp_path, Choice(extras=("gpu",), groups=("dev",)))
    assert {"web", "heavy", 'checker; sys_platform == "linux"'} == set(chosen.requirements)


def test_an_environment_of_conda(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    text = """\
name: lab
channels: [conda-forge]
dependencies:
  - python=3.11.4
  - conda-forge::numpy=1.26=py311_0
  - pytorch>=2
  - pip
  - pip:
    - flask==3.0
    - -r more.txt
variables:
  MODE: fast
"""
    (tmp_path / "environment.yml").write_text(text)
    (tmp_path / "more.txt").write_text("rich\n")
    project = read_source_project(tmp_path, Choice())
    assert (project.name, project.python_version) == ("lab", "3.11.4")
    assert project.requirements == ("flask==3.0", "rich")
    left = {one.subject: one.reason for one in project.left_out}
    assert "`numpy==1.26.*`" in left["conda package conda-forge::numpy=1.26=py311_0"]
    assert "`torch>=2`" in left["conda package pytorch>=2"] and "channel conda-forge" in left
    assert "set it where the application starts" in left["variable MODE"]
    (tmp_path / "environment.yml").write_text("dependencies: [python>=3.9]\n")
    assert read_source_project(tmp_path, Choice()).python == ">=3.9"


@pytest.mark.parametrize("text", ["name: [", "- a", "name: x", "\x00"])
def test_other_yaml_is_an_error_of_usage(tmp_path: Path, text: str) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "environment.yml").write_text(text)
    with pytest.raises(UsageError):
        read_source_project(tmp_path, Choice())


def test_a_script_is_the_launch_module(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text('# /// script\n# requires-python = ">=3.12"\n# dependencies = ["rich==13.0"]\n# ///\nprint(1)\n')
    project = read_source_project(script, Choice())
    assert (project.requirements, project.python, project.code.script) == (("rich==13.0",), ">=3.12", script)
    script.write_text("print(1)\n")
    with pytest.raises(UsageError, match="PEP 723"):
        read_source_project(script, Choice())


def test_a_virtual_environment(tmp_path: Path) -> None:
    site = tmp_path / "shop/.venv/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (tmp_path / "shop/.venv/pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.11.7\n")

    def install(name: str, version: str, requires: str = "", origin: Mapping[str, object] | None = None) -> None:
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        needs = f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        files = {f"{name}.py": 100, f"{name}.pth": 50}
        (info / "RECORD").write_text("".join(f"{file},,{size}\n" for file, size in files.items()))
        for file in files:  # newer versions of importlib.metadata list only files that exist
            (site / file).touch()
        if origin:
            (info / "direct_url.json").write_text(json.dumps(origin))

    install("web", "1.0", "num>=1")
    install("num", "2.0")
    install("pip", "24.0")
    install("mine", "0.1", origin={"url": "file:///somewhere/mine", "dir_info": {"editable": True}})
    git = {"url": "https://u:p@git.example/far.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    install("far", "0.1", origin=git)
    install("wheeled", "1.0", origin={"url": "https://files.example/wheeled-1.0-py3-none-any.whl"})
    project = read_source_project(tmp_path / "shop/.venv", Choice())
    assert (project.name, project.python_version) == ("shop", "3.11.7")
    assert project.requirements == ("web", "wheeled @ https://files.example/wheeled-1.0-py3-none-any.whl")
    assert list(map(str, project.pins)) == ["num==2.0", "web==1.0"] and project.pins[0].size_bytes == 150
    assert subjects(project) == {
        "pip 24.0",
        "mine from file:///somewhere/mine",
        "far from git+https://git.example/far.git@abc",
    }


def test_what_is_a_spec_already(tmp_path: Path) -> None:
    (tmp_path / "venvstacks.toml").write_text("[[runtimes]]\nname = 'x'\n")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert existing_spec(tmp_path / "venvstacks.toml") == existing_spec(tmp_path) == tmp_path / "venvstacks.toml"
    assert existing_spec(tmp_path / "pyproject.toml") is None
