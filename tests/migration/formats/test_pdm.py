"""The settings of PDM: sources, overrides, excludes."""

from __future__ import annotations

from pathlib import Path

from vstore.migration import Choice, SourceProject, read_source_project

SOURCES = """\
[[tool.pdm.source]]
name = "Private.One"
url = "https://private.example/simple"
verify_ssl = false
username = "u"
include_packages = ["foo", "bar-*"]
exclude_packages = ["qux"]
[[tool.pdm.source]]
name = "local"
url = "file:///${PROJECT_ROOT}/wheels"
type = "find_links"
"""


def read(folder: Path, text: str, **choice: tuple[str, ...]) -> SourceProject:
    (folder / "pyproject.toml").write_text(text)
    return read_source_project(folder / "pyproject.toml", Choice(**choice))


def test_sources_are_searched_as_in_pdm(tmp_path: Path) -> None:
    project = read(tmp_path, SOURCES)
    assert project.settings == {
        "index": [{"name": "private-one", "url": "https://private.example/simple"}],
        "sources": {"foo": {"index": "private-one"}},
        "index-strategy": "unsafe-best-match",  # PyPI is searched as well, and the best version wins
        "allow-insecure-host": ["private.example"],
        "find-links": [str(tmp_path / "wheels")],
    }
    assert [one.subject for one in project.left_out] == [
        "include_packages of the source Private.One: bar-*",
        "exclude_packages of the source Private.One: qux",
        "login of the source Private.One",
    ]
    ordered = read(tmp_path, f"{SOURCES}[tool.pdm.resolution]\nrespect-source-order = true\n").settings
    assert ordered["index"] == [
        {"name": "pypi", "url": "https://pypi.org/simple"},
        {"name": "private-one", "url": "https://private.example/simple", "default": True},
    ]
    assert ordered["index-strategy"] == "unsafe-first-match"
    own = read(tmp_path, SOURCES.replace("Private.One", "pypi")).settings["index"]
    assert own == [{"name": "pypi", "url": "https://private.example/simple", "default": True}]


def test_the_resolution_is_taken_over(tmp_path: Path) -> None:
    text = """\
[tool.pdm.resolution]
excludes = ["requests"]
allow-prereleases = true
strategy = ["inherit_metadata"]
[tool.pdm.resolution.overrides]
asgiref = "3.2.10"
urllib3 = ">=1.26.2"
pytz = "https://u:secret@files.example/pytz-2020.9-py3-none-any.whl"
six = "git+https://git.example/six.git"
"""
    project = read(tmp_path, text)
    assert project.settings == {
        "override-dependencies": [
            "asgiref==3.2.10",
            "urllib3>=1.26.2",
            "pytz @ https://files.example/pytz-2020.9-py3-none-any.whl",
        ],
        "exclude-dependencies": ["requests"],
        "prerelease": "allow",
    }
    assert [one.subject for one in project.left_out] == [
        "login of https://files.example/pytz-2020.9-py3-none-any.whl",
        "six @ git+https://git.example/six.git",
        "tool.pdm.resolution.strategy",
    ]


def test_a_path_in_the_project_is_one_that_exists(tmp_path: Path) -> None:
    text = '[tool.pdm.dev-dependencies]\ndev = ["-e file:///${PROJECT_ROOT}/sub#egg=sub"]\n'
    (left,) = read(tmp_path, text, groups=("dev",)).left_out
    assert "uv build --wheel -o wheels ./sub`," in left.reason
