"""The survey of the package index, for requirements without a list of wheels."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from vstore.migration import Pin, SourceProject, survey
from vstore.reporter import NullReporter
from vstore.target import Target
from vstore.uv import Uv


@pytest.fixture
def uv(tmp_path: Path) -> Uv:
    return Uv(cache_dir=tmp_path / "cache", environment={"PATH": os.environ["PATH"]})


def project(folder: Path, *requirements: str, **more: str) -> SourceProject:
    wheels = folder / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "pure", "1.0", {"pure.py": ""}, requires=["fast"])
    make_wheel(wheels, "fast", "1.0", {"fast.py": ""}, tag="cp311-cp311-manylinux_2_17_x86_64")
    make_wheel(wheels, "fast", "2.0", {"fast.py": ""}, tag="cp313-cp313-manylinux_2_17_x86_64")
    settings = {"no-index": True, "find-links": [str(wheels)]}
    pins = tuple(Pin(name=name, version=version) for name, version in more.items())
    return SourceProject(name="shop", format="x", requirements=requirements, pins=pins, settings=settings)


def test_the_newest_python_with_wheels_is_the_limit(tmp_path: Path, uv: Uv) -> None:
    found = survey(project(tmp_path, "pure", fast="1.0"), Target.LINUX_X86_64, uv, NullReporter())
    assert found.python == "<3.12"
    assert {pin.name: (pin.version, pin.requires) for pin in found.resolved} == {
        "pure": ("1.0", ("fast",)),
        "fast": ("1.0", ()),
    }


@pytest.mark.slow
def test_a_package_without_a_wheel_is_named(tmp_path: Path, uv: Uv) -> None:
    (tmp_path / "sources").mkdir()
    given = project(tmp_path, "pure", "missing")
    (tmp_path / "wheels/missing-1.0.tar.gz").write_bytes(b"")
    found = survey(given, Target.LINUX_X86_64, uv, NullReporter())
    assert [one.subject for one in found.left_out] == ["wheel of missing==1.0"]
    assert "pip wheel --no-deps -w wheels 'missing==1.0'" in found.left_out[0].reason
    assert found.python == "<3.14"


def test_a_list_of_wheels_needs_no_index(tmp_path: Path, uv: Uv) -> None:
    known = SourceProject(
        name="shop",
        format="x",
        requirements=("x",),
        pins=(Pin(name="x", version="1", wheels=("x-1-py3-none-any.whl",)),),
    )
    assert survey(known, Target.LINUX_X86_64, uv, NullReporter()) is known
