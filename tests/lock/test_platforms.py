"""What uv is asked about a platform: its exact Python, all its markers, its systems; and platforms nobody named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from tests.lock.test_lock import MINOR, VERSION, Workspace, versions
from vstore.errors import LockError
from vstore.lock import LockedLayer, Project, lock_path
from vstore.lock.markers import exact_marker, holds, marker_environment, uv_platform
from vstore.lock.staleness import stale_reasons
from vstore.lock.wheels import check_covered, select_wheels
from vstore.spec import Spec, load
from vstore.target import Target

ABI = "cp" + MINOR.replace(".", "")
LINUX = f"{ABI}-{ABI}-manylinux_2_17_x86_64"


@pytest.fixture
def project(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path)
    made.wheels.mkdir()
    return made


def unnamed(project: Workspace, runtime: list[str], app: list[str], extra: str = "") -> Spec:
    """A spec that names no platforms, but for what `extra` adds to the application."""
    spec = project.spec(runtime=runtime, app=app)
    text = spec.path.read_text().replace(f"platforms={list(project.targets)}\n", "") + extra
    spec.path.write_text(text)
    return load(spec.path)


def left_out(locked: LockedLayer) -> set[str]:
    return set(locked.findings.left_out)


@pytest.mark.parametrize("joint", [False, True])
def test_a_package_that_needs_a_later_patch_release_is_locked_in_two_layers(project: Workspace, joint: bool) -> None:
    """Without the exact version uv also plans for X.Y.0, where the package cannot be had."""
    make_wheel(project.wheels, "sieve", "1.0", {"sieve.py": ""})
    make_wheel(project.wheels, "sieve", "2.0", {"sieve.py": ""}, requires=["late; python_full_version >= '3.0'"])
    make_wheel(project.wheels, "late", "1.0", {"late.py": ""}, requires_python=f">={VERSION}")
    make_wheel(project.wheels, "soup", "1.0", {"soup.py": ""}, requires=["sieve"])
    locked = project.lock(project.spec(frameworks={"a": ["soup"]}, app=["soup"]), joint=joint)
    assert versions(locked["framework-a"]) == {"late": "1.0", "sieve": "2.0", "soup": "1.0"}
    assert all(package.shared for package in locked["app-hello"].packages)


@pytest.mark.parametrize(
    "marker",
    [
        "platform_python_implementation == 'PyPy'",
        "implementation_name == 'pypy'",
        "implementation_name != 'cpython'",
        "os_name == 'nt'",
        "platform_system == 'Windows'",
        "sys_platform == 'darwin'",
        "platform_machine == 'aarch64'",
        f"python_version != '{MINOR}'",
        f"python_full_version != '{VERSION}'",
        f"python_full_version < '{VERSION}'",
        f"implementation_version != '{VERSION}'",
        "os_name == 'java' or platform_python_implementation == 'Jython'",
    ],
)
def test_a_dependency_of_other_interpreters_does_not_lower_a_version(project: Workspace, marker: str) -> None:
    """It has no wheel; a resolution that plans for others takes an old version that does not want it yet."""
    make_wheel(project.wheels, "crawl", "1.0", {"crawl.py": ""})
    make_wheel(project.wheels, "crawl", "2.0", {"crawl.py": ""}, requires=[f"no-wheel; {marker}"])
    (project.wheels / "no_wheel-1.0.tar.gz").write_bytes(b"")
    assert versions(project.lock(project.spec(app=["crawl"]))["app-hello"]) == {"crawl": "2.0"}


@pytest.mark.parametrize("target", list(Target))
def test_the_exact_marker_holds_on_its_target_only(target: Target) -> None:
    marker = exact_marker(target, "3.11.7")
    assert [other for other in Target if holds(marker, other, "3.11.7")] == [target]
    assert not holds(marker, target, "3.11.8")
    unknown = {"platform_release", "platform_version"}
    assert all((f"{key} ==" in marker) != (key in unknown) for key in marker_environment(target, "3.11.7"))


@pytest.mark.parametrize(
    ("glibc", "expected"),
    [
        ((2, 12), "x86_64-manylinux_2_17"),
        ((2, 17), "x86_64-manylinux_2_17"),
        ((2, 27), "x86_64-manylinux_2_17"),
        ((2, 28), "x86_64-manylinux_2_28"),
        ((2, 30), "x86_64-manylinux_2_28"),
        ((2, 34), "x86_64-manylinux_2_34"),
        ((2, 99), "x86_64-manylinux_2_40"),
    ],
)
def test_uv_is_asked_for_no_newer_glibc(glibc: tuple[int, int], expected: str) -> None:
    assert uv_platform(Target.LINUX_X86_64, glibc) == expected


TOO_NEW = [
    ("linux_x86_64", "", "manylinux_2_34_x86_64", "manylinux_2_28_x86_64", 'linux_target = "glibc@2.34"'),
    ("linux_x86_64", "glibc@2.30", "manylinux_2_31_x86_64", "manylinux_2_28_x86_64", 'linux_target = "glibc@2.31"'),
    ("linux_aarch64", "", "manylinux_2_39_aarch64", "manylinux2014_aarch64", 'linux_target = "glibc@2.39"'),
    ("macosx_arm64", "", "macosx_14_0_universal2", "macosx_12_0_arm64", 'macosx_target = "14.0"'),
    ("macosx_x86_64", "", "macosx_15_0_x86_64", "macosx_13_0_x86_64", 'macosx_target = "15.0"'),
]


@pytest.mark.parametrize(("target", "allowed", "new", "old", "setting"), TOO_NEW)
@pytest.mark.parametrize("joint", [False, True])
def test_an_older_version_is_taken_where_the_newest_needs_a_newer_system(
    tmp_path: Path, target: str, allowed: str, new: str, old: str, setting: str, joint: bool
) -> None:
    project = Workspace(tmp_path, targets=(target,))
    project.wheels.mkdir()
    for version, tag in (("1.0", "py3-none-any"), ("2.0", f"{ABI}-{ABI}-{old}"), ("3.0", f"{ABI}-abi3-{new}")):
        make_wheel(project.wheels, "gui", version, {"gui.py": ""}, tag=tag)
    make_wheel(project.wheels, "gui", "4.0", {"gui.py": ""}, tag=f"{ABI}-{ABI}-{new}")
    make_wheel(project.wheels, "window", "1.0", {"window.py": ""}, requires=["gui"])
    spec = project.spec(frameworks={"gui": ["window"]})
    if allowed:
        spec.path.write_text(spec.path.read_text().replace("name='py'", f"name='py'\nlinux_target='{allowed}'"))
        spec = load(spec.path)
    locked = project.lock(spec, joint=joint)["framework-gui"]
    assert versions(locked) == {"gui": "2.0", "window": "1.0"}
    [held] = locked.findings.held_back
    assert (held.name, held.version, held.without) == ("gui", "2.0", "4.0")
    assert setting in held.ways[0]
    assert "framework-gui" in held.ways[0]
    key, _, value = setting.partition(" = ")
    spec.path.write_text(
        spec.path.read_text()
        .replace("name='py'", f"name='py'\n{key}={value}")
        .replace(f"linux_target='{allowed}'\n", "")
    )
    newer = project.lock(load(spec.path), joint=joint, upgrade=True)["framework-gui"]
    assert (versions(newer)["gui"], newer.findings.held_back) == ("4.0", ())


@pytest.mark.parametrize(("target", "allowed", "new", "old", "setting"), TOO_NEW[:1] + TOO_NEW[2:])
def test_a_wheel_that_is_too_new_says_which_setting_would_allow_it(
    tmp_path: Path, target: str, allowed: str, new: str, old: str, setting: str
) -> None:
    project = Workspace(tmp_path, targets=(target,))
    project.wheels.mkdir()
    make_wheel(project.wheels, "gui", "3.0", {"gui.py": ""}, tag=f"{ABI}-{ABI}-{new}")
    with pytest.raises(LockError) as caught:
        project.lock(project.spec(app=["gui"]))
    [line] = caught.value.details
    assert line.startswith(f"gui 3.0: no wheel for {target} (needs ")
    assert f"or older, available: {new})" in line
    assert f"set `{setting}` in layer hello" in (caught.value.hint or "")
    assert "--local-wheels" in (caught.value.hint or "")


def test_layers_with_systems_of_their_own_are_resolved_together(project: Workspace) -> None:
    for level in (17, 28, 34):
        make_wheel(project.wheels, "gui", f"{level}.0", {"gui.py": ""}, tag=f"{ABI}-{ABI}-manylinux_2_{level}_x86_64")
        make_wheel(project.wheels, "low", f"{level}.0", {"low.py": ""}, tag=f"{ABI}-{ABI}-manylinux_2_{level}_x86_64")
    spec = project.spec(runtime=["low"], app=["gui"])
    spec.path.write_text(spec.path.read_text().replace("name='hello'", "name='hello'\nlinux_target='glibc@2.35'"))
    locked = project.lock(load(spec.path), joint=True)
    assert versions(locked["py"]) == {"low": "28.0"}
    assert versions(locked["app-hello"]) == {"gui": "34.0"}


@pytest.mark.parametrize("joint", [False, True])
def test_platforms_that_nobody_named_never_refuse_a_lock(project: Workspace, joint: bool) -> None:
    make_wheel(project.wheels, "native", "1.0", {"native.py": ""}, tag=LINUX)
    make_wheel(project.wheels, "native", "1.0", {"native.py": ""}, tag=f"{ABI}-{ABI}-win_amd64")
    make_wheel(project.wheels, "pure", "1.0", {"pure.py": ""})
    spec = unnamed(project, ["pure"], ["native"])
    locked = project.lock(spec, joint=joint)
    lost = set(Target) - {Target.LINUX_X86_64, Target.WIN_AMD64}
    assert left_out(locked["app-hello"]) == {str(one) for one in lost}
    assert left_out(locked["py"]) == ({str(one) for one in lost} if joint else set())
    assert set(locked["app-hello"].findings.left_out.values()) == {"no wheel of native"}
    assert set(stale_reasons(Project(spec)).values()) == {None}
    app = spec.layer("app-hello")
    for target in Target:
        if target in lost:
            with pytest.raises(LockError, match=f"app-hello is not locked for {target}: no wheel of native"):
                select_wheels(locked["app-hello"], app, target, VERSION)
        else:
            assert [one.name for one in select_wheels(locked["app-hello"], app, target, VERSION)] == ["native"]
            check_covered(locked["app-hello"], target)


def test_what_is_left_out_below_is_left_out_above(project: Workspace) -> None:
    make_wheel(project.wheels, "native", "1.0", {"native.py": ""}, tag=LINUX)
    make_wheel(project.wheels, "pure", "1.0", {"pure.py": ""})
    locked = project.lock(unnamed(project, ["native"], ["pure"]))
    lost = {str(target) for target in Target if target != Target.LINUX_X86_64}
    assert left_out(locked["app-hello"]) == left_out(locked["py"]) == lost
    assert set(locked["app-hello"].findings.left_out.values()) == {"layer py is left out"}


def test_a_platform_named_above_is_required_below(project: Workspace) -> None:
    make_wheel(project.wheels, "native", "1.0", {"native.py": ""}, tag=LINUX)
    with pytest.raises(LockError, match="layer py: some packages have no wheel") as caught:
        project.lock(unnamed(project, ["native"], [], "platforms=['linux_x86_64','win_amd64']\n"))
    assert "native 1.0: no wheel for win_amd64" in str(caught.value)


def test_a_named_platform_makes_a_lock_stale_that_leaves_it_out(project: Workspace) -> None:
    make_wheel(project.wheels, "native", "1.0", {"native.py": ""}, tag=LINUX)
    spec = unnamed(project, ["native"], [])
    project.lock(spec)
    every = f"requirements=['native']\nplatforms={[str(target) for target in Target]}"
    spec.path.write_text(spec.path.read_text().replace("requirements=['native']", every))
    assert stale_reasons(Project(load(spec.path)))["py"] == "platforms changed since it was locked"


def test_this_machine_is_required(project: Workspace) -> None:
    make_wheel(project.wheels, "native", "1.0", {"native.py": ""}, tag=f"{ABI}-{ABI}-win_amd64")
    with pytest.raises(LockError, match="no wheel for linux_x86_64"):
        project.lock(unnamed(project, ["native"], []))
    locked = project.lock(unnamed(project, ["native"], []), target=Target.WIN_AMD64)
    assert "linux_x86_64" in left_out(locked["py"])


def test_a_platform_nobody_named_gets_an_older_version_rather_than_lower_all(project: Workspace) -> None:
    make_wheel(project.wheels, "native", "1.0", {"native.py": ""})
    make_wheel(project.wheels, "native", "2.0", {"native.py": ""}, tag=LINUX)
    locked = project.lock(unnamed(project, ["native"], []))["py"]
    assert left_out(locked) == set()
    chosen = {package.version: package.marker or "" for package in locked.packages}
    assert chosen["2.0"] == "sys_platform == 'linux' and platform_machine == 'x86_64'"
    assert "win32" in chosen["1.0"] and "x86_64' and sys_platform == 'linux'" not in chosen["1.0"]


def test_a_lock_says_what_it_leaves_out(project: Workspace) -> None:
    make_wheel(project.wheels, "native", "1.0", {"native.py": ""}, tag=LINUX)
    spec = unnamed(project, ["native"], [])
    project.lock(spec)
    assert 'win_arm64 = "no wheel of native"' in lock_path(spec, spec.layer("py")).read_text()


@pytest.mark.network
@pytest.mark.parametrize("requirement", ["numpy<2.3", "torch"])
@pytest.mark.slow
def test_the_first_specs_that_people_write_are_locked(tmp_path: Path, requirement: str) -> None:
    project = Workspace(tmp_path)
    locked = project.lock(unnamed(project, [requirement], []), environment=os.environ, index=True, local_wheels=())[
        "py"
    ]
    assert "linux_x86_64" not in left_out(locked)
    assert "win_arm64" in left_out(locked)


@pytest.mark.network
@pytest.mark.slow
def test_real_packages_are_locked_as_uv_would(tmp_path: Path) -> None:
    """scrapy has a dependency of PyPy without a wheel, and the newest PySide6 needs a newer glibc than 2.28."""
    project = Workspace(tmp_path)
    spec = project.spec(frameworks={"soup": ["beautifulsoup4"]}, app=["beautifulsoup4", "scrapy", "PySide6_Essentials"])
    locked = project.lock(spec, environment=os.environ, index=True, local_wheels=())["app-hello"]
    assert tuple(map(int, versions(locked)["scrapy"].split(".")[:2])) >= (2, 13)
    assert next(held.name for held in locked.findings.held_back) == "pyside6-essentials"
