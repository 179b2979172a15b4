"""pyproject.toml of several tools: extras, groups, sources, commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from vstore.errors import UsageError
from vstore.migration import Choice, SourceProject, read_source_project
from vstore.migration.formats.poetry import poetry_specifier

PROJECT = """\
[project]
name = "Shop.Front"
requires-python = ">=3.10,<3.13"
dependencies = ["shop-front[web]", "attrs", "secret-lib", "far", "near", "wheeled"]

[project.optional-dependencies]
web = ["flask"]
all = ["shop-front[web]", "rich"]

[project.scripts]
shop = "shop_front.cli:app.run"

[dependency-groups]
dev = ["pytest", { include-group = "lint" }]
lint = ["ruff"]
self = ["shop-front[all]"]

[tool.pdm.dev-dependencies]
old = ["tox"]

[tool.hatch.envs.docs]
dependencies = ["sphinx"]

[tool.uv]
exclude-newer = "2026-01-01"
environments = ["sys_platform == 'linux'"]
override-dependencies = ["six==1.16.0"]

[[tool.uv.index]]
name = "private"
url = "https://u:p@private.example/simple"
explicit = true

[tool.uv.sources]
secret-lib = { index = "private" }
far = { git = "https://git.example/far.git", tag = "v2" }
near = { workspace = true }
wheeled = { url = "https://files.example/wheeled-1.0-py3-none-any.whl" }
"""


def read(folder: Path, text: str, **choice: tuple[str, ...]) -> SourceProject:
    (folder / "pyproject.toml").write_text(text)
    return read_source_project(folder / "pyproject.toml", Choice(**choice))


def left_out(project: SourceProject) -> dict[str, str]:
    return {one.subject: one.reason for one in project.left_out}


def test_dependencies_come_with_their_sources(tmp_path: Path) -> None:
    project = read(tmp_path, PROJECT)
    wheeled = "wheeled @ https://files.example/wheeled-1.0-py3-none-any.whl"
    assert sorted(project.requirements) == ["attrs", "flask", "secret-lib", wheeled]
    assert project.settings["index"] == [{"name": "private", "url": "https://private.example/simple", "explicit": True}]
    assert project.settings["sources"] == {"secret-lib": {"index": "private"}}
    assert project.settings["override-dependencies"] == ["six==1.16.0"]
    assert project.python == ">=3.10,<3.13"
    left = left_out(project)
    assert "git -C far checkout v2" in left["far @ git+https://git.example/far.git@v2"]
    assert {"near", "tool.uv.environments", "extra all", "group dev", "group old", "group docs"} <= set(left)
    assert "extra web" in left


def test_extras_and_groups_are_taken_over_when_chosen(tmp_path: Path) -> None:
    project = read(tmp_path, PROJECT, extras=("all",), groups=("dev", "old", "docs"))
    assert {"flask", "rich", "pytest", "ruff", "tox", "sphinx"} <= set(project.requirements)
    assert not {"extra all", "group dev", "group old"} & set(left_out(project))
    assert "rich" in read(tmp_path, PROJECT, groups=("self",)).requirements


def test_an_unknown_group_is_an_error_that_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such group: tests") as caught:
        read(tmp_path, PROJECT, groups=("tests",))
    assert caught.value.hint == "the project has: dev, docs, lint, old, self"


@pytest.mark.parametrize(
    "text", ['[project]\ndependencies = "flask"', "[dependency-groups]\na = [{include-group = 'a'}]"]
)
def test_malformed_tables_are_errors_of_usage(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        read(tmp_path, text)


def test_dependencies_that_setuptools_computes(tmp_path: Path) -> None:
    head = '[project]\nname = "x"\ndynamic = ["dependencies"]\n'
    assert "dependencies" in left_out(read(tmp_path, head))
    (tmp_path / "needs.txt").write_text("flask\n")
    files = '[tool.setuptools.dynamic]\ndependencies = { file = ["needs.txt"] }\n'
    assert read(tmp_path, head + files).requirements == ("flask",)


def test_the_tables_of_poetry(tmp_path: Path) -> None:
    text = """\
[tool.poetry]
name = "shop"
packages = [{ include = "shop", from = "lib" }]
[tool.poetry.dependencies]
python = "^3.10"
attrs = "^23.1"
click = { version = "~8.1", extras = ["x"], markers = "sys_platform == 'linux'" }
lxml = { version = "*", optional = true }
numpy = [{ version = "1.26.4", python = "<3.12" }, { version = ">=2", python = ">=3.12" }]
mine = { git = "https://git.example/mine.git", rev = "abc" }
inner = { version = "1.0", source = "private" }
[tool.poetry.extras]
xml = ["lxml"]
[tool.poetry.group.dev.dependencies]
pytest = "^8"
[[tool.poetry.source]]
name = "private"
url = "https://private.example/simple"
priority = "explicit"
[tool.poetry.scripts]
shop = "shop:main"
"""
    (tmp_path / "lib/shop").mkdir(parents=True)
    project = read(tmp_path, text, groups=("dev",))
    assert set(project.requirements) == {
        "attrs<24,>=23.1",
        'click[x]<8.2,>=8.1; sys_platform == "linux"',
        'numpy==1.26.4; python_version < "3.12"',
        'numpy>=2; python_version >= "3.12"',
        "inner==1.0",
        "pytest<9,>=8",
    }
    assert project.python == "<4,>=3.10"
    assert project.settings["sources"] == {"inner": {"index": "private"}}
    assert project.code.packages == (tmp_path / "lib/shop",)
    assert {"extra xml", "mine @ git+https://git.example/mine.git@abc"} <= set(left_out(project))
    assert "lxml" in read(tmp_path, text, extras=("xml",)).requirements


@pytest.mark.parametrize(
    ("constraint", "specifier"),
    [
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0", ">=0,<1"),
        ("~1.2.3", ">=1.2.3,<1.3"),
        ("~1", ">=1,<2"),
        ("1.2", "==1.2"),
        ("1.2.*", "==1.2.*"),
        (">=1,<2", ">=1,<2"),
        (">=1 <2", ">=1,<2"),
        ("!=1.5", "!=1.5"),
        ("*", ""),
    ],
)
def test_constraints_of_poetry_are_version_specifiers(constraint: str, specifier: str) -> None:
    assert poetry_specifier(constraint) == specifier


def poetry_sources(folder: Path, *sources: str, dependencies: str = "") -> dict[str, object]:
    """uv's settings for package sources of Poetry."""
    tables = "".join(f"[[tool.poetry.source]]\n{one}\n" for one in sources)
    return dict(read(folder, f"[tool.poetry.dependencies]\n{dependencies}\n{tables}").settings)


def test_sources_of_poetry_are_searched_by_their_priority(tmp_path: Path) -> None:
    def source(name: str, more: str = "") -> str:
        return f'name = "{name}"\nurl = "https://{name}.example/"\n{more}'

    def index(name: str, **more: bool) -> dict[str, object]:
        return {"name": name, "url": f"https://{name}.example/", **more}

    pypi: dict[str, object] = {"name": "pypi", "url": "https://pypi.org/simple"}
    last = source("last", 'priority = "supplemental"')
    assert poetry_sources(tmp_path, source("one")) == {"index": [index("one", default=True)]}  # it replaces PyPI
    assert poetry_sources(tmp_path, last, source("one"), source("two", 'priority = "primary"')) == {
        "index": [index("one"), index("two"), index("last", default=True)],
        "index-strategy": "unsafe-first-match",
    }
    assert poetry_sources(tmp_path, last)["index"] == [pypi, index("last", default=True)]
    assert poetry_sources(tmp_path, source("one"), 'name = "PyPI"') == {
        "index": [index("one")],
        "index-strategy": "unsafe-best-match",
    }
    older = poetry_sources(tmp_path, source("b", "secondary = true"), source("one"), source("a", "default = true"))
    assert older["index"] == [index("a"), index("one"), index("b", default=True)]
    named = poetry_sources(tmp_path, source("one"), dependencies='six = { version = "1", source = "pypi" }')
    assert named["index"] == [index("one", default=True), {**pypi, "explicit": True}]
    assert named["sources"] == {"six": {"index": "pypi"}}


def test_a_table_of_poetry_completes_a_requirement_of_the_project(tmp_path: Path) -> None:
    text = """\
[project]
name = "shop"
dependencies = ["six>=1"]
[tool.poetry.dependencies]
six = { source = "private" }
[[tool.poetry.source]]
name = "private"
url = "https://private.example/"
priority = "explicit"
"""
    project = read(tmp_path, text)
    assert project.requirements == ("six>=1",)
    assert project.settings["sources"] == {"six": {"index": "private"}}


def test_poetry_allows_pre_releases_of_a_package(tmp_path: Path) -> None:
    wanted = 'Black = { version = "*", allow-prereleases = true }\nsix = { version = "*", allow-prereleases = true }'
    allowed = {"black": "allow", "six": "allow"}
    assert poetry_sources(tmp_path, dependencies=wanted) == {"prerelease-package": allowed}


def test_each_key_of_an_index_of_uv_is_kept_or_named(tmp_path: Path) -> None:
    text = """\
[project]
name = "shop"
dependencies = ["six"]
[[tool.uv.index]]
name = "Flat_One"
url = "wheels"
format = "flat"
authenticate = "never"
ignore-error-codes = [403]
cache-control = { api = "max-age=600" }
publish-url = "https://private.example/upload"
[tool.uv.sources]
six = { index = "Flat_One" }
"""
    project = read(tmp_path, text)
    assert project.settings == {
        "index": [
            {
                "name": "flat-one",
                "url": str(tmp_path / "wheels"),
                "format": "flat",
                "authenticate": "never",
                "ignore-error-codes": [403],
                "cache-control": {"api": "max-age=600"},
            }
        ],
        "sources": {"six": {"index": "flat-one"}},
    }
    assert [one.subject for one in project.left_out] == ["publish-url of the index flat-one"]


def test_extras_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    text = """\
[project]
name = "shop"
[project.optional-dependencies]
cpu = ["torch"]
gpu = ["torch"]
[tool.uv]
conflicts = [[{ extra = "cpu" }, { package = "Shop", extra = "gpu" }], [{ extra = "cpu" }, { group = "x" }]]
"""
    assert read(tmp_path, text, extras=("cpu",)).requirements == ("torch",)
    with pytest.raises(UsageError, match="--extra cpu and --extra gpu exclude each other"):
        read(tmp_path, text, extras=("gpu", "cpu"))
