"""The warnings of uv: each is told once, with the layer that it concerns."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from tests.lock.test_lock import Workspace, document
from vstore.lock.model import LockedPackage
from vstore.lock.resolution.uv_answers import Solution
from vstore.lock.resolution.uv_warnings import general_warnings, package_warnings
from vstore.reporter import NullReporter

YANKED = '`low==1.0` is yanked (reason: "wrong")'
NO_EXTRA = "The package `{}` does not have an extra named `fast`"


@pytest.mark.parametrize("joint", [False, True])
def test_each_warning_is_told_once_with_the_layer_that_it_concerns(tmp_path: Path, joint: bool) -> None:
    """An index in a folder: `low` is yanked, and no package has an extra."""
    project = Workspace(tmp_path, targets=("linux_x86_64", "win_amd64"))
    project.wheels.mkdir()
    for name, requires, attribute in (("low", [], 'data-yanked="wrong"'), ("high", ["low"], "")):
        wheel = make_wheel(project.wheels, name, "1.0", {f"{name}.py": ""}, requires=requires)
        (tmp_path / "simple" / name).mkdir(parents=True)
        page = f'<!DOCTYPE html><a href="{wheel.as_uri()}" {attribute}>{wheel.name}</a>'
        (tmp_path / "simple" / name / "index.html").write_text(page)
    spec = project.spec(runtime=["low==1.0"], frameworks={"mid": ["high[fast]"]}, app=["low[Fast]", "high"])
    environment = {"UV_DEFAULT_INDEX": (tmp_path / "simple").as_uri()}
    locked = project.lock(spec, environment, index=True, local_wheels=(), joint=joint)
    assert {name: one.findings.warnings for name, one in locked.items()} == {
        "py": (YANKED,),
        "framework-mid": (NO_EXTRA.format("high==1.0"),),
        "app-hello": (NO_EXTRA.format("low==1.0"),),
    }
    assert document(spec, "py")["tool"]["vstore"]["warnings"] == [YANKED]


def test_a_warning_names_no_place_and_no_project_of_vstore(tmp_path: Path) -> None:
    layer = Workspace(tmp_path).spec().layer("py")
    solution = Solution(
        packages={"py": (LockedPackage(name="low", version="1.0"),)},
        versions={},
        warnings=(
            "The package `low==1.0 (from file:///home/me/low-1.0-py3-none-any.whl)` does not have an extra named `x`",
            "`VIRTUAL_ENV=/home/me/.venv` does not match",
            "The group of vstore-layers:layer-0 is \x1b[1mlarge",
        ),
    )
    assert list(package_warnings([layer], layer, solution)) == [
        "The package `low==1.0` does not have an extra named `x`"
    ]
    assert list(general_warnings(solution)) == ["The group of the spec is \\x1b[1mlarge"]


class Warned(NullReporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str, hint: str | None = None) -> None:
        self.warnings.append(text)


def test_a_warning_about_no_package_is_told_once_and_not_kept_in_the_lock(tmp_path: Path) -> None:
    project, reporter = Workspace(tmp_path), Warned()
    project.wheels.mkdir()
    make_wheel(project.wheels, "low", "1.0", {"low.py": ""})
    locked = project.lock(project.spec(runtime=["low"], app=["low"]), {"UV_NATIVE_TLS": "1"}, reporter=reporter)
    [warning] = reporter.warnings
    assert warning.startswith("uv: ") and "UV_NATIVE_TLS" in warning
    assert locked["py"].findings.warnings == locked["app-hello"].findings.warnings == ()
