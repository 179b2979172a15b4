"""The locks of uv, Poetry and PDM: the versions of what a project needs, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from vstore.errors import UsageError
from vstore.migration import Choice, SourceProject, read_source_project

PROJECT = """\
[project]
name = "shop"
dependencies = ["web"]
[project.optional-dependencies]
gpu = ["heavy"]
[dependency-groups]
dev = ["checker"]
"""
PYPI = 'source = { registry = "https://pypi.org/simple" }'


def package(name: str, version: str, *lines: str) -> str:
    """The table of a package in a lock."""
    return "\n".join(["[[package]]", f'name = "{name}"', f'version = "{version}"', *lines, "\n"])


UV_LOCK = """\
version = 1
requires-python = ">=3.10"

[[package]]
name = "shop"
source = { editable = "." }
dependencies = [{ name = "web", extra = ["tls"] }, { name = "member" }, { name = "lib" }]
[package.optional-dependencies]
gpu = [
  { name = "heavy", version = "1.0+cpu", marker = "extra == 'extra-4-shop-cpu'" },
  { name = "heavy", version = "1.0", marker = "extra != 'extra-4-shop-cpu'" },
]
[package.dev-dependencies]
dev = [{ name = "checker" }]
[package.metadata]
requires-dist = [{ name = "web", extras = ["tls"], specifier = ">=1" }, { name = "heavy", marker = "extra == 'gpu'" }]

[[package]]
name = "web"
version = "1.0"
source = { registry = "https://pypi.org/simple" }
dependencies = [
  { name = "num", version = "1.0", marker = "python_full_version < '3.12'" },
  { name = "num", version = "2.0" },
]
wheels = [{ url = "https://files.example/web-1.0-py3-none-any.whl", size = 1000 }]
[package.optional-dependencies]
tls = [{ name = "crypto" }]

[[package]]
name = "member"
version = "0.1"
source = { editable = "packages/member" }
[package.metadata]
requires-dist = [{ name = "num" }]

"""
UV_LOCK += package("crypto", "4.0", 'source = { registry = "https://private.example/simple" }')
UV_LOCK += package("num", "1.0", PYPI, """resolution-markers = ["python_full_version < '3.12'"]""")
UV_LOCK += package("num", "2.0", PYPI, """resolution-markers = ["python_full_version >= '3.12'"]""")
UV_LOCK += package("heavy", "1.0", PYPI)
UV_LOCK += package("heavy", "1.0+cpu", 'source = { registry = "https://cpu.example/whl" }')
UV_LOCK += package("checker", "5.0", PYPI)
UV_LOCK += package("lib", "0.1", 'source = { git = "https://git.example/lib.git?tag=v1#abcdef" }')


def pins(project: SourceProject) -> list[str]:
    return sorted(map(str, project.pins))


def test_uvs_lock_is_read_with_the_project_beside_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "uv.lock").write_text(UV_LOCK)
    project = read_source_project(tmp_path / "pyproject.toml", Choice())
    numbers = ["num==1.0 ; (python_full_version < '3.12')", "num==2.0 ; (python_full_version >= '3.12')"]
    assert pins(project) == ["crypto==4.0", *numbers, "web==1.0"]
    assert set(project.requirements) == {"web", "num"}
    assert project.settings["sources"] == {"crypto": {"index": "private-example"}}
    left = {one.subject: one.reason for one in project.left_out}
    assert "git -C lib checkout abcdef" in left["lib 0.1 from git"]
    assert "support_modules" in left["member in packages/member"]
    (web,) = (pin for pin in project.pins if pin.name == "web")
    assert (web.size_bytes, web.wheels, web.requires) == (1000, ("web-1.0-py3-none-any.whl",), ("num", "num"))


def test_each_package_of_a_private_index_is_taken_from_it_alone(tmp_path: Path) -> None:
    public = 'name = "web"\nversion = "1.0"\nsource = { registry = "https://pypi.org/simple" }'
    private = public.replace("pypi.org", "private.example")
    assert public in UV_LOCK
    (tmp_path / "uv.lock").write_text(UV_LOCK.replace(public, private))
    project = read_source_project(tmp_path / "uv.lock", Choice())
    assert project.settings["index"] == [
        {"name": "private-example", "url": "https://private.example/simple", "explicit": True}
    ]
    taken = {"index": "private-example"}
    assert project.settings["sources"] == {"crypto": taken, "web": taken}


def test_extras_that_exclude_each_other_are_decided(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "uv.lock").write_text(UV_LOCK)
    project = read_source_project(tmp_path / "uv.lock", Choice(extras=("gpu",), groups=("dev",)))
    assert {"heavy==1.0", "checker==5.0"} <= set(pins(project)) and "heavy==1.0+cpu" not in pins(project)


def test_uvs_lock_alone_names_the_requirements(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(UV_LOCK)
    project = read_source_project(tmp_path / "uv.lock", Choice())
    assert (project.name, project.python) == ("shop", ">=3.10")
    assert "web[tls]>=1" in project.requirements and "heavy" not in "".join(project.requirements)
    assert {"extra gpu", "group dev"} <= {one.subject for one in project.left_out}


def test_poetrys_lock_gives_only_what_is_needed(tmp_path: Path) -> None:
    needs = 'num = [{ version = "<2", markers = "python_version < \\"3.10\\"" }, { version = "*" }]'
    files = 'files = [{ file = "web-1.0-py3-none-any.whl", hash = "sha256:00" }]'
    lock = package("Web", "1.0", 'python-versions = ">=3.9"', files, "[package.dependencies]", needs)
    lock += package("num", "1.0", 'python-versions = ">=3.9"') + package("num", "2.0", 'python-versions = ">=3.10"')
    lock += package("checker", "5.0", 'python-versions = "*"')
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "poetry.lock").write_text(lock)
    project = read_source_project(tmp_path / "poetry.lock", Choice())
    old, new = "num==1.0 ; python_version >= '3.9' and python_version < '3.10'", "num==2.0 ; python_version >= '3.10'"
    assert pins(project) == [old, new, "web==1.0"]


def test_pdms_lock_gives_only_what_is_needed(tmp_path: Path) -> None:
    files = 'files = [{ url = "https://files.example/web-1.0-py3-none-any.whl", hash = "sha256:00" }]'
    lock = package("web", "1.0", """dependencies = ["num>=1; python_version > '3'"]""", files)
    lock += package("num", "2.0", """marker = "sys_platform == 'linux'\"""") + package("checker", "5.0")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "pdm.lock").write_text(lock)
    project = read_source_project(tmp_path, Choice())
    assert pins(project) == ["num==2.0", "web==1.0"] and project.format == "pyproject.toml, pdm.lock"


def test_a_member_of_a_workspace_has_the_lock_of_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.uv.workspace]\nmembers = ['shop']\n")
    (tmp_path / "uv.lock").write_text(UV_LOCK.replace('editable = "."', 'editable = "shop"'))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/pyproject.toml").write_text(PROJECT)
    assert "web==1.0" in pins(read_source_project(tmp_path / "shop", Choice()))


def test_extras_that_the_lock_excludes_from_each_other_are_refused(tmp_path: Path) -> None:
    conflicts = 'conflicts = [[{ package = "shop", extra = "gpu" }, { package = "shop", group = "dev" }]]\n'
    (tmp_path / "uv.lock").write_text(conflicts + UV_LOCK)
    with pytest.raises(UsageError, match="--extra gpu and --group dev exclude each other"):
        read_source_project(tmp_path / "uv.lock", Choice(extras=("gpu",), groups=("dev",)))
