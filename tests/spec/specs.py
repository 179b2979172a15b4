"""Specs made in code: a folder with modules and a spec's text."""

from __future__ import annotations

from pathlib import Path

import pytest

from vstore.errors import SpecError
from vstore.fs.paths import typed
from vstore.spec import Spec, load

PYTHON = """
[[runtimes]]
name = "python"
python_implementation = "cpython@3.11.13"
requirements = []
"""

INDEXES = """
[[tool.uv.index]]
name = "fast"
url = "https://fast.example/simple"
explicit = true

[[tool.uv.index]]
name = "slow.er"
url = "https://slow.example/simple"
explicit = true
"""


def layer(array: str, name: str, *lines: str) -> str:
    """One layer's table; `requirements` are empty unless given."""
    extra = [] if any(line.startswith("requirements") for line in lines) else ["requirements = []"]
    return "\n".join([f"\n[[{array}]]", f'name = "{name}"', *lines, *extra, ""])


def framework(name: str, *lines: str) -> str:
    return layer("frameworks", name, *lines)


def application(name: str, *lines: str) -> str:
    extra = [] if any(line.startswith("launch_module") for line in lines) else ['launch_module = "main.py"']
    return layer("applications", name, *lines, *extra)


def write(folder: Path, text: str, name: str = "stack.toml") -> Path:
    """The spec in a folder with ``main.py``, ``help.py`` and ``package/``; ``beside.py`` is one folder up."""
    project = folder / "project"
    (project / "package").mkdir(parents=True, exist_ok=True)
    for file in ("main.py", "help.py", "package/__init__.py", "package/__main__.py", "../beside.py"):
        (project / file).write_text("")
    (project / name).write_text(text)
    return project / name


def make_checkout(folder: Path) -> None:
    """The top of a checkout according to git."""
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")


def loaded(folder: Path, text: str, name: str = "stack.toml") -> Spec:
    return load(write(folder, text, name))


def mistakes(folder: Path, text: str) -> list[str]:
    """The mistakes of a spec: one line if there is one mistake, else all the details."""
    path = write(folder, text)
    with pytest.raises(SpecError) as caught:
        load(path)
    error = caught.value
    assert error.exit_code == 3
    assert "\n" not in error.message
    if error.message.endswith(" mistakes"):
        return list(error.details)
    assert error.message.startswith(f"{typed(path)}: ")
    return [error.message.removeprefix(f"{typed(path)}: "), *error.details, *filter(None, [error.hint])]
