"""Logins in the files of other tools: none gets into a proposal, and each that a setting had is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from vstore.migration import Choice, propose, read_source_project
from vstore.target import Target

SECRET = "s3cr3t"
LOGIN = f"u:{SECRET}@h.example"
UV = f'[tool.uv]\nfind-links = ["https://{LOGIN}/links"]\noverride-dependencies = ["a @ https://{LOGIN}/a.whl"]\n'
SCRIPT = f'dependencies = ["six", "baz @ git+https://{LOGIN}/x.git"]\n{UV}'
POETRY = f"""\
[tool.poetry.dependencies]
mine = {{ git = "https://{LOGIN}/mine.git" }}
far = {{ url = "https://{LOGIN}/far-1.0.zip" }}
[[tool.poetry.source]]
name = "private"
url = "https://{LOGIN}/simple"
"""
CONDA = f"""\
channels: ["https://conda.example/t/{SECRET}/team", "https://{LOGIN}/team"]
dependencies:
  - https://conda.example/t/{SECRET}/team::six
  - pip: ["-e git+https://{LOGIN}/x.git#egg=q", "--proxy u:{SECRET}@p:1"]
"""


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("requirements.txt", f"six\n--find-links https://{LOGIN}/links\n"),
        ("requirements.txt", f"six\n-f //{LOGIN}/links\n"),
        ("requirements.txt", f"six\n-f https://h.example/links?token={SECRET}\n"),
        ("requirements.txt", f"baz @ https://{LOGIN}/baz-1.0.tar.gz\n"),
        ("requirements.txt", f"-e git+https://{LOGIN}/x.git#egg=q\n"),
        ("requirements.txt", f"https://{LOGIN}/baz-1.0-py3-none-any.whl\n"),
        ("requirements.txt", f"--proxy http://{LOGIN}:1\n--proxy u:{SECRET}@p:1\n"),
        ("requirements.txt", f"-c https://{LOGIN}/pins.txt\nnonsense here https://{LOGIN}/\n"),
        ("pyproject.toml", f'[project]\nname = "a"\ndependencies = ["six"]\n{UV}'),
        ("pyproject.toml", POETRY),
        ("environment.yml", CONDA),
        ("tool.py", "".join(["# /// script\n", *(f"# {line}\n" for line in SCRIPT.splitlines()), "# ///\n"])),
    ],
)
def test_no_login_gets_into_a_proposal(tmp_path: Path, file: str, text: str) -> None:
    if file == "environment.yml":
        pytest.importorskip("yaml")
    (tmp_path / file).write_text(text)
    proposal = propose(read_source_project(tmp_path / file, Choice()), tmp_path / file, tmp_path, Target.LINUX_X86_64)
    notes = [f"{one.subject}: {one.reason}" for one in proposal.left_out]
    assert notes and SECRET not in "".join([proposal.text, *notes, *map(repr, proposal.layers)])


def test_the_login_of_a_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(UV)
    project = read_source_project(tmp_path / "pyproject.toml", Choice())
    assert project.settings == {
        "find-links": ["https://h.example/links"],
        "override-dependencies": ["a @ https://h.example/a.whl"],
    }
    assert [one.subject for one in project.left_out] == [
        "login of find-links (https://h.example/links)",
        "login of override-dependencies (a @ https://h.example/a.whl)",
    ]


def test_advice_for_a_wheel_can_be_followed(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"https://{LOGIN}/baz-1.0-py3-none-any.whl\n")
    left = read_source_project(tmp_path / "requirements.txt", Choice()).left_out
    assert [one.reason for one in left] == [
        "write `baz @ https://h.example/baz-1.0-py3-none-any.whl`, which is NAME @ URL"
    ]
