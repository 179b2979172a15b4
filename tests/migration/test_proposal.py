"""The proposal: layers, Pythons, constraints, applications, and text that loads as a spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from vstore.migration import Choice, Pin, Proposal, SourceProject, propose, read_source_project
from vstore.migration.model import LeftOut, OwnCode, ProjectCommand
from vstore.spec import load
from vstore.target import Target
from vstore.toml import tables

LINUX = Target.LINUX_X86_64
MIB = 1 << 20


def proposed(folder: Path, project: SourceProject) -> Proposal:
    """A proposal whose text is a valid spec."""
    proposal = propose(project, folder / "source", folder, LINUX)
    for name, text in proposal.files.items():
        (folder / name).write_text(text)
    (folder / "spec.toml").write_text(proposal.text)
    spec = load(folder / "spec.toml")
    assert [layer.name for layer in spec.layers] == [layer.name for layer in proposal.layers]
    return proposal


def test_heavy_frameworks_lie_below_in_one_chain(tmp_path: Path) -> None:
    pins = (
        Pin(name="numpy", version="1.0", size_bytes=20 * MIB),
        Pin(name="torch", version="2.0", size_bytes=700 * MIB, requires=("numpy", "cuda")),
        Pin(name="cuda", version="12.0", size_bytes=300 * MIB),
        Pin(name="bigdata", version="1.0", size_bytes=90 * MIB),
        Pin(name="flask", version="3.0", size_bytes=MIB),
    )
    project = SourceProject(
        name="shop", format="x", requirements=("flask>=2", "torch==2.0", "numpy", "bigdata"), pins=pins
    )
    proposal = proposed(tmp_path, project)
    layers = {layer.name: layer for layer in proposal.layers}
    assert list(layers) == ["python", "scientific", "torch", "bigdata", "shop"]
    assert layers["torch"].frameworks == ("scientific",) and layers["shop"].frameworks == ("bigdata",)
    assert layers["torch"].requirements == ("torch",) and layers["shop"].requirements == ("flask>=2",)
    assert [layer.size_bytes for layer in proposal.layers] == [None, 20 * MIB, 1000 * MIB, 90 * MIB, MIB]
    assert proposal.constraints == ("bigdata==1.0", "cuda==12.0", "flask==3.0", "numpy==1.0", "torch==2.0")


def test_pins_of_one_layer_stay_in_its_requirements(tmp_path: Path) -> None:
    pins = (Pin(name="flask", version="3.0"), Pin(name="click", version="8.0", marker='os_name == "posix"'))
    wanted = ("flask==3.0", 'click==8.0; os_name == "posix"')
    proposal = proposed(tmp_path, SourceProject(name="shop", format="x", requirements=wanted, pins=pins))
    assert proposal.constraints == () and set(proposal.layers[-1].requirements) == set(wanted)


@pytest.mark.parametrize(
    ("python", "version", "implementation"),
    [
        ("", None, "cpython@>=3.11,<3.14"),
        (">=3.9", None, "cpython@>=3.9,<3.14"),
        (">=3.11.4,!=3.12.1", None, "cpython@>=3.11,<3.14,>=3.11.4,!=3.12.1"),
        (">=3.14", None, "cpython@>=3.14,<3.15"),
        ("<3.12", "3.12.4", "cpython@3.12"),
        ("", "pypy3.10", "cpython@>=3.11,<3.14"),
        ("nonsense", None, "cpython@>=3.11,<3.14"),
    ],
)
def test_the_python_of_a_project(tmp_path: Path, python: str, version: str | None, implementation: str) -> None:
    project = SourceProject(name="shop", format="x", python=python, python_version=version)
    assert proposed(tmp_path, project).python == implementation


def wheels(name: str, *tags: str) -> Pin:
    return Pin(name=name, version="1.0", wheels=tuple(f"{name}-1.0-{tag}.whl" for tag in tags))


def test_only_pythons_with_a_wheel_of_each_pin_are_allowed(tmp_path: Path) -> None:
    compiled = wheels("fast", *(f"cp3{n}-cp3{n}-manylinux_2_17_x86_64" for n in (10, 11, 12)))
    pins = (compiled, wheels("pure", "py3-none-any"), Pin(name="old", version="1.0", wheels=("old-1.0.tar.gz",)))
    proposal = proposed(tmp_path, SourceProject(name="shop", format="x", python=">=3.9", pins=pins))
    assert proposal.python == "cpython@>=3.10,<3.13" and proposal.linux_target is None
    assert [one.subject for one in proposal.left_out] == ["wheel of old==1.0"]


def test_several_commands_share_a_framework(tmp_path: Path) -> None:
    package = tmp_path / "src/shop"
    package.mkdir(parents=True)
    commands = (
        ProjectCommand(name="shop", module="shop.cli", function="app.run"),
        ProjectCommand(name="shop-admin", module="shop.admin", function="main"),
        ProjectCommand(name="other", module="elsewhere", function="main"),
        ProjectCommand(name="alias", module="shop.cli", function="app.run"),
    )
    code = OwnCode(commands=commands, packages=(package,))
    proposal = proposed(tmp_path, SourceProject(name="shop", format="x", requirements=("flask",), code=code))
    kinds = [(layer.kind, layer.name, layer.requirements) for layer in proposal.layers[1:]]
    assert kinds == [("framework", "shop", ("flask",)), ("application", "shop", ()), ("application", "shop-admin", ())]
    assert proposal.layers[-1].modules == ("launch_shop_admin.py", "src/shop")
    assert "from shop.cli import app\n\nsys.exit(app.run())" in proposal.files["launch_shop.py"]
    assert [one.subject for one in proposal.left_out] == ["command other", "command alias", "metadata of shop"]


def test_a_package_that_can_be_started_is_the_launch_module(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__main__.py").touch()
    proposal = proposed(tmp_path, SourceProject(name="shop", format="x", code=OwnCode(packages=(tmp_path / "shop",))))
    assert proposal.layers[-1].modules == ("shop",) and not proposal.files


def test_what_is_left_out_is_in_the_text_without_logins(tmp_path: Path) -> None:
    left = LeftOut(subject="a\nb", reason="https://u:secret@x.example/")
    text = proposed(tmp_path, SourceProject(name="s", format="x", left_out=(left,))).text
    assert "# - a\\nb: https://***@x.example/" in text


def test_folders_of_the_project_are_relative_to_the_spec(tmp_path: Path) -> None:
    project, stack, far = tmp_path / "shop", tmp_path / "stack", tmp_path / "far"
    for folder in (project, stack):
        folder.mkdir()
    settings = (
        '[tool.uv]\nfind-links = ["wheels", "https://h.example/", "{}"]\nindex = [{{ url = "flat", format = "flat" }}]'
    )
    (project / "pyproject.toml").write_text(settings.format(far.as_posix()))
    source = project / "pyproject.toml"
    found = propose(read_source_project(source, Choice()), source, stack, LINUX).settings
    assert found["find-links"] == ["../shop/wheels", "https://h.example/", str(far)]
    assert [one["url"] for one in tables(found, "index")] == ["../shop/flat"]
