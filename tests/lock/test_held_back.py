"""Packages that a pin below holds back, and stacks whose packages do not suit each other: said when locking."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from tests.lock.resolution.test_joint import stacks
from tests.lock.test_lock import MINOR, Workspace, versions
from vstore.errors import LockError
from vstore.lock import lock_path
from vstore.lock.model import HeldBack
from vstore.spec import load
from vstore.target import Target


@pytest.fixture
def project(tmp_path: Path) -> Workspace:
    """`utils` 1 to 3; `docs` follows it one version behind, `theme` follows `docs`."""
    made = Workspace(tmp_path)
    made.wheels.mkdir()
    for version in ("1.0", "2.0", "3.0"):
        make_wheel(made.wheels, "utils", version, {"utils.py": ""})
    make_wheel(made.wheels, "docs", "1.0", {"docs.py": ""}, requires=["utils"])
    make_wheel(made.wheels, "docs", "2.0", {"docs.py": ""}, requires=["utils>=2,<3"])
    make_wheel(made.wheels, "theme", "1.0", {"theme.py": ""}, requires=["docs<2"])
    make_wheel(made.wheels, "theme", "2.0", {"theme.py": ""}, requires=["docs>=2"])
    make_wheel(made.wheels, "other", "1.0", {"other.py": ""})
    return made


HELD = HeldBack(
    name="docs",
    version="1.0",
    without="2.0",
    by=("utils==3.0 of layer py",),
    ways=("require utils==2.0 in layer py", "lock with --joint"),
)


def test_a_package_that_a_lower_pin_holds_back_is_told_with_the_pin_and_two_ways_out(project: Workspace) -> None:
    locked = project.lock(project.spec(runtime=["utils", "other"], frameworks={"doc": ["docs", "other"]}))
    assert versions(locked["framework-doc"])["docs"] == "1.0"
    assert locked["framework-doc"].findings.held_back == (HELD,)
    assert locked["py"].findings.held_back == locked["app-hello"].findings.held_back == ()
    assert str(HELD) == (
        "docs 1.0 (2.0 without utils==3.0 of layer py): require utils==2.0 in layer py, or lock with --joint"
    )


def test_the_way_out_leads_out(project: Workspace) -> None:
    lower = project.lock(project.spec(runtime=["utils==2.0"], frameworks={"doc": ["docs"]}), joint=False)
    assert versions(lower["framework-doc"])["docs"] == "2.0"
    assert lower["framework-doc"].findings.held_back == ()


def test_a_pin_that_is_required_below_is_told_with_its_requirement_and_not_with_a_joint_lock(
    project: Workspace,
) -> None:
    """A joint lock would have to meet the same requirement."""
    wanted = project.spec(runtime=["utils != 2.0"], frameworks={"doc": ["docs"]})
    (held,) = project.lock(wanted)["framework-doc"].findings.held_back
    assert held.ways == ("require utils==2.0 in layer py instead of utils != 2.0",)
    (held,) = project.lock(project.spec(runtime=["utils>2"], frameworks={"doc": ["theme"]}))[
        "framework-doc"
    ].findings.held_back[1:]
    assert held.ways == ("require utils==2.0 in layer py instead of utils>2",)


def test_a_package_held_back_by_way_of_another_names_the_pin(project: Workspace) -> None:
    locked = project.lock(project.spec(runtime=["utils"], frameworks={"doc": ["theme"]}))["framework-doc"]
    assert [(one.name, one.version, one.by) for one in locked.findings.held_back] == [
        ("docs", "1.0", ("utils==3.0 of layer py",)),
        ("theme", "1.0", ("utils==3.0 of layer py",)),
    ]


def test_a_pin_that_is_shared_and_newest_holds_nothing_back(project: Workspace) -> None:
    locked = project.lock(project.spec(runtime=["utils==2.0"], app=["utils", "docs", "theme"]))["app-hello"]
    assert locked.findings.held_back == ()
    assert versions(locked) == {"docs": "2.0", "theme": "2.0", "utils": "2.0"}


def test_what_was_found_is_in_the_lock(project: Workspace) -> None:
    spec = project.spec(runtime=["utils"], app=["docs"])
    project.lock(spec)
    before = lock_path(spec, spec.layer("app-hello")).read_bytes()
    assert b"utils==3.0 of layer py" in before
    again = project.lock(spec)
    assert lock_path(spec, spec.layer("app-hello")).read_bytes() == before
    assert again["app-hello"].findings.held_back == (HELD,)


@pytest.fixture
def siblings(project: Workspace) -> Workspace:
    """`old` wants attrs below 2, `classes` and `more` want it from 2 on."""
    for version in ("1.0", "2.0"):
        make_wheel(project.wheels, "attrs", version, {"attrs.py": ""})
    make_wheel(project.wheels, "old", "1.0", {"old.py": ""}, requires=["attrs<2"])
    make_wheel(project.wheels, "classes", "1.0", {"classes.py": ""}, requires=["attrs>=2"])
    make_wheel(project.wheels, "more", "1.0", {"more.py": ""}, requires=["attrs>=1.5", "classes"])
    make_wheel(project.wheels, "easy", "1.0", {"easy.py": ""}, requires=["attrs"])
    return project


def test_two_frameworks_that_do_not_suit_each_other_are_told(siblings: Workspace) -> None:
    spec = stacks(siblings, [], {"near": ["old"], "far": ["more", "easy"]}, {"top": ["near", "far"]})
    locked = siblings.lock(spec)
    assert locked["framework-near"].findings.conflicts == locked["framework-far"].findings.conflicts == ()
    gets = (
        "and gets attrs 1.0 of layer framework-near, which hides attrs 2.0 of layer framework-far:"
        " lock with --joint, or require one version below both"
    )
    assert sorted(locked["app-top"].findings.conflicts) == [
        f"classes 1.0 of layer framework-far needs attrs>=2, {gets}",
        f"more 1.0 of layer framework-far needs attrs>=1.5, {gets}",
    ]


def test_a_conflict_with_an_extra_or_of_the_newest_of_several_versions_is_told(siblings: Workspace) -> None:
    """uv says "all versions of extra", and "newest>=2.0" of the last of several."""
    make_wheel(siblings.wheels, "extra", "1.0", {"extra.py": ""}, requires=["attrs[fast]>=2"])
    for version, needs in (("1.0", "attrs"), ("2.0", "attrs>=2")):
        make_wheel(siblings.wheels, "newest", version, {"newest.py": ""}, requires=[needs])
    for package, needs in (("extra", "attrs[fast]>=2"), ("newest", "attrs>=2")):
        spec = stacks(siblings, [], {"near": ["old"], "far": [package]}, {"top": ["near", "far"]})
        (conflict,) = siblings.lock(spec)["app-top"].findings.conflicts
        assert conflict.startswith(package) and f" of layer framework-far needs {needs}, and gets attrs 1.0" in conflict


def test_joint_locking_refuses_such_a_stack_and_names_both(siblings: Workspace) -> None:
    spec = stacks(siblings, [], {"near": ["old"], "far": ["more"]}, {"top": ["near", "far"]})
    with pytest.raises(LockError) as caught:
        siblings.lock(spec, joint=True)
    assert "framework-near" in str(caught.value) and "framework-far" in str(caught.value)


@pytest.mark.parametrize("near", [["easy", "attrs==1.0"], ["old"]])
def test_frameworks_that_differ_and_suit_each_other_are_no_conflict(siblings: Workspace, near: list[str]) -> None:
    spec = stacks(siblings, [], {"near": near, "far": ["easy"]}, {"top": ["near", "far"]})
    locked = siblings.lock(spec)
    assert versions(locked["framework-near"])["attrs"] != versions(locked["framework-far"])["attrs"]
    assert locked["app-top"].findings.conflicts == ()


def test_errors_of_joint_locks_name_the_layer_that_asked_and_no_name_of_ours(project: Workspace) -> None:
    (project.wheels / "source_only-1.0.tar.gz").write_bytes(b"")
    spec = project.spec(runtime=["utils"], frameworks={"doc": ["docs"]}, app=["source-only"])
    with pytest.raises(LockError) as caught:
        project.lock(spec, joint=True)
    assert caught.value.message == "layer app-hello cannot be locked: no wheel of source-only"
    assert "vstore-layer" not in str(caught.value)
    for frameworks, app in (({"doc": ["nowhere"]}, []), ({"doc": ["utils<2"]}, ["docs>=2"])):
        with pytest.raises(LockError) as caught:
            project.lock(project.spec(runtime=["utils"], frameworks=frameworks, app=app), joint=True)
        assert "layer framework-doc requires" in str(caught.value)
        assert "vstore-layer" not in str(caught.value)
        assert "your project" not in str(caught.value)


def test_a_pin_that_leaves_only_versions_without_wheels_is_the_pins_fault(project: Workspace) -> None:
    """uv tries ever older versions and complains of one that is only source; the pin below is what to change."""
    make_wheel(project.wheels, "client", "2.0", {"client.py": ""}, requires=["utils<3"])
    (project.wheels / "client-1.0.tar.gz").write_bytes(b"")
    with pytest.raises(LockError) as caught:
        project.lock(project.spec(runtime=["utils"], frameworks={"cloud": ["client"]}), joint=False)
    assert (
        caught.value.message == "layer framework-cloud cannot be locked: it conflicts with the versions pinned below it"
    )
    assert caught.value.details[0].startswith("utils==3.0 is pinned by layer py, ")
    assert "--joint" in (caught.value.hint or "")


def test_a_version_that_another_stack_holds_back_in_a_joint_lock_is_told(project: Workspace) -> None:
    """Together, `utils` is 1.0 for all; the second stack alone would have 3.0, and so would the runtime for it."""
    text = stacks(project, [], {"one": ["utils<2"], "two": ["utils", "other"]}, {"a": ["one"], "b": ["two"]})
    locked = project.lock(text, joint=True)
    assert versions(locked["framework-two"]) == {"other": "1.0", "utils": "1.0"}
    [held] = locked["framework-two"].findings.held_back
    assert (held.name, held.version, held.without) == ("utils", "1.0", "3.0")
    assert held.by == ("the requirements of layer framework-one",)
    assert held.ways == ("change the requirements of framework-one", "lock with --no-joint")
    assert locked["framework-one"].findings.held_back == ()
    assert versions(project.lock(text, joint=False, upgrade=True)["framework-two"])["utils"] == "3.0"
    shared = project.lock(stacks(project, ["utils"], {"one": ["utils<2"]}, {"a": ["one"]}), joint=True)
    assert shared["py"].findings.held_back == ()  # one stack, which wants it so
    both = stacks(project, ["utils"], {"one": ["utils<2"], "two": ["other"]}, {"a": ["one"], "b": ["two"]})
    [held] = project.lock(both, joint=True, upgrade=True)["py"].findings.held_back
    assert (held.version, held.without, held.by) == ("1.0", "3.0", ("the requirements of layer framework-one",))


ABI = "cp" + MINOR.replace(".", "")
SYSTEMS = [
    ("linux_x86_64", "manylinux_2_34_x86_64", 'linux_target = "glibc@2.28"', 'linux_target = "glibc@2.34"'),
    ("macosx_arm64", "macosx_15_0_arm64", 'macosx_target = "13.0"', 'macosx_target = "15.0"'),
]


@pytest.mark.parametrize(("target", "tag", "allowed", "needed"), SYSTEMS)
@pytest.mark.parametrize("place", ["one layer", "above", "above, joint", "by way of another, joint"])
def test_a_package_that_another_layers_system_holds_back_is_told(
    tmp_path: Path, target: str, tag: str, allowed: str, needed: str, place: str
) -> None:
    """`low` 2 needs a newer system than is allowed, `high` 2 needs `low` 2, `top` 2 needs `high` 2."""
    project = Workspace(tmp_path, targets=(target,))
    project.wheels.mkdir()
    make_wheel(project.wheels, "low", "1.0", {"low.py": ""})
    make_wheel(project.wheels, "low", "2.0", {"low.py": ""}, tag=f"{ABI}-{ABI}-{tag}")
    for name, needs in (("high", "low"), ("top", "high")):
        make_wheel(project.wheels, name, "1.0", {f"{name}.py": ""}, requires=[f"{needs}<2"])
        make_wheel(project.wheels, name, "2.0", {f"{name}.py": ""}, requires=[f"{needs}>=2"])
    runtime, app, held = {
        "one layer": (["low", "high"], [], "high"),
        "above": (["low"], ["high"], "high"),
        "above, joint": (["low"], ["high"], "high"),
        "by way of another, joint": (["low"], ["top"], "top"),
    }[place]
    spec = project.spec(runtime=runtime, app=app)
    locked = project.lock(spec, joint="joint" in place)
    owner = "app-hello" if app else "py"
    [found] = [one for one in locked[owner].findings.held_back if one.name == held]
    assert (found.version, found.without) == ("1.0", "2.0")
    assert found.ways[0] == f"set {needed} in layer py"
    assert found.by == (("low==1.0 of layer py",) if place == "above" else (f"{allowed} of layer py",))
    key, _, value = needed.partition(" = ")
    spec.path.write_text(spec.path.read_text().replace("name='py'", f"name='py'\n{key}={value}"))
    newer = project.lock(load(spec.path), joint="joint" in place, upgrade=True)
    assert versions(newer[owner])[held] == "2.0"
    assert newer[owner].findings.held_back == newer["py"].findings.held_back == ()


@pytest.mark.parametrize("joint", [False, True])
def test_a_package_that_another_platform_holds_back_is_told(tmp_path: Path, joint: bool) -> None:
    """All platforms get the version of the first one where they can have it."""
    project = Workspace(tmp_path, targets=("linux_x86_64", "win_amd64"))
    project.wheels.mkdir()
    make_wheel(project.wheels, "native", "1.0", {"native.py": ""})
    make_wheel(project.wheels, "native", "2.0", {"native.py": ""}, tag=f"{ABI}-{ABI}-win_amd64")
    spec = project.spec(app=["native"])
    locked = project.lock(spec, joint=joint)["app-hello"]
    assert versions(locked) == {"native": "1.0"}
    way = "native==2.0 ; sys_platform == 'win32' and platform_machine == 'AMD64'"
    assert locked.findings.held_back == (
        HeldBack(
            name="native",
            version="1.0",
            without="2.0",
            by=("native==1.0 of linux_x86_64",),
            ways=(f"require `{way}` in layer app-hello", "lock without linux_x86_64"),
        ),
    )
    spec.path.write_text(spec.path.read_text().replace("['native']", json.dumps(["native", way])))
    newer = project.lock(load(spec.path), joint=joint, upgrade=True)["app-hello"]
    assert {one.version for one in newer.packages} == {"1.0", "2.0"}
    assert newer.findings.held_back == ()


def test_the_limit_of_one_platform_is_not_that_of_another(tmp_path: Path) -> None:
    """The newest version needs a newer glibc (which uv knows only as 2.28), but only on Linux."""
    project = Workspace(tmp_path, targets=("macosx_arm64", "linux_x86_64"))
    project.wheels.mkdir()
    make_wheel(project.wheels, "native", "1.0", {"native.py": ""})
    for tag in ("manylinux_2_29_x86_64", "macosx_12_0_arm64"):
        make_wheel(project.wheels, "native", "2.0", {"native.py": ""}, tag=f"{ABI}-{ABI}-{tag}")
    spec = project.spec(app=["native"])
    spec.path.write_text(spec.path.read_text().replace("name='py'", "name='py'\nlinux_target='glibc@2.27'"))
    locked = project.lock(load(spec.path), target=Target.MACOSX_ARM64)["app-hello"]
    assert {one.version: "darwin" in (one.marker or "") for one in locked.packages} == {"1.0": False, "2.0": True}


@pytest.mark.parametrize(("target", "tag", "_", "needed"), SYSTEMS)
def test_a_wheel_without_native_code_that_the_system_forces_is_told(
    tmp_path: Path, target: str, tag: str, _: str, needed: str
) -> None:
    """`both` has such a wheel too, and `fits` one with native code for the allowed system."""
    project = Workspace(tmp_path, targets=(target, "win_amd64"))
    project.wheels.mkdir()
    old_tag = "manylinux_2_17_x86_64" if target == "linux_x86_64" else "macosx_11_0_arm64"
    for name, tags in (("both", [tag]), ("fits", [tag, old_tag]), ("pure", [])):
        make_wheel(project.wheels, name, "1.0", {f"{name}.py": ""}, tag="py2.py3-none-any")
        for own in tags:
            make_wheel(project.wheels, name, "1.0", {f"{name}.py": ""}, tag=f"{ABI}-{ABI}-{own}")
    spec = project.spec(runtime=["both", "fits", "pure"], app=["both"])
    locked = project.lock(spec)
    assert locked["py"].findings.warnings == (
        f"both 1.0 is used without native code on {target}: its wheel with native code needs {needed} in layer py",
    )
    assert locked["app-hello"].findings.warnings == ()
    key, _, value = needed.partition(" = ")
    spec.path.write_text(spec.path.read_text().replace("name='py'", f"name='py'\n{key}={value}"))
    assert project.lock(load(spec.path))["py"].findings.warnings == ()
