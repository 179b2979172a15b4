"""Joint locking: what is pinned below suits what is asked for above."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from scripts.testing.wheels import make_wheel
from tests.lock.test_lock import MINOR, Workspace, versions
from vstore.errors import LockError
from vstore.lock import Project, lock_path
from vstore.lock.staleness import stale_reasons
from vstore.reporter import NullReporter
from vstore.spec import Spec, load
from vstore.spec.select import SelectionRequest

PLATFORMS = '["linux_x86_64"]'


class Notes(NullReporter):
    """A report that keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def project(tmp_path: Path) -> Workspace:
    """`num` from 1.0 to 3.0; what wants it old, what wants it new."""
    made = Workspace(tmp_path)
    made.wheels.mkdir()
    for version in ("1.0", "2.0", "3.0"):
        make_wheel(made.wheels, "num", version, {"num.py": f"V = '{version}'\n"})
    make_wheel(made.wheels, "old-fashioned", "1.0", {"old.py": ""}, requires=["num<2"])
    make_wheel(made.wheels, "modest", "1.0", {"modest.py": ""}, requires=["num<3"])
    make_wheel(made.wheels, "modern", "1.0", {"modern.py": ""}, requires=["num>=2"])
    make_wheel(made.wheels, "newest", "1.0", {"newest.py": ""}, requires=["num>=3"])
    return made


def stacks(
    project: Workspace,
    runtime: list[str],
    frameworks: Mapping[str, list[str]],
    applications: Mapping[str, list[str]] = MappingProxyType({}),
) -> Spec:
    """Frameworks on a runtime; an application per entry, on the frameworks named."""
    text = f"[[runtimes]]\nname='py'\npython_implementation='cpython@{MINOR}'\n"
    text += f"requirements={runtime}\nplatforms={PLATFORMS}\n"
    for name, requirements in frameworks.items():
        text += f"[[frameworks]]\nname='{name}'\nruntime='py'\nrequirements={requirements}\n"
    for name, below in applications.items():
        text += f"[[applications]]\nname='{name}'\nlaunch_module='hello.py'\nrequirements=[]\nframeworks={below}\n"
    (project.folder / "hello.py").write_text("")
    (project.folder / "spec.toml").write_text(text)
    return load(project.folder / "spec.toml")


def test_a_conflict_says_which_pin_and_offers_joint(project: Workspace) -> None:
    spec = project.spec(runtime=["num"], frameworks={"web": ["old-fashioned"]}, app=["num<3"])
    with pytest.raises(LockError) as caught:
        project.lock(spec, joint=False)
    first, *details = str(caught.value).splitlines()
    assert first == "layer framework-web cannot be locked: it conflicts with the versions pinned below it"
    assert "  num==3.0 is pinned by layer py, but old-fashioned in layer framework-web depends on num<2" in details
    assert re.search(r"`vstore lock --joint \S*spec.toml`", details[-1])


def test_a_direct_conflict_names_the_requirement(project: Workspace) -> None:
    with pytest.raises(LockError) as caught:
        project.lock(project.spec(runtime=["num"], app=["num<3"]), joint=False)
    assert "num==3.0 is pinned by layer py, but layer app-hello requires num<3" in str(caught.value)


def test_a_first_lock_that_pins_below_forbid_is_made_jointly(project: Workspace) -> None:
    spec = project.spec(runtime=["num"], frameworks={"web": ["old-fashioned"]}, app=["modest"])
    said = Notes()
    locked = project.lock(spec, reporter=said)
    assert versions(locked["py"]) == {"num": "1.0"}
    assert list(locked) == ["py", "framework-web", "app-hello"]
    assert all(one.joint for one in locked.values())
    (note,) = said.notes
    assert note == (
        "layers on one runtime are locked jointly: num==3.0 is pinned by layer py,"
        " but old-fashioned in layer framework-web depends on num<2"
    )
    assert set(stale_reasons(Project(spec)).values()) == {None}


def test_pins_that_somebody_has_are_not_changed_for_a_new_layer(project: Workspace) -> None:
    before = project.lock(project.spec(runtime=["num"], app=[]))
    with pytest.raises(LockError) as caught:
        project.lock(project.spec(runtime=["num"], app=["old-fashioned"]))
    assert re.search(r"`vstore lock --joint \S*spec.toml`", caught.value.hint or "")
    assert versions(before["py"]) == {"num": "3.0"}


def test_joint_is_not_offered_where_it_has_been_tried(project: Workspace) -> None:
    with pytest.raises(LockError) as caught:
        project.lock(project.spec(runtime=["num>=3"], app=["old-fashioned"]))
    assert "num==3.0 is pinned by layer py, but old-fashioned in layer app-hello depends on num<2" in str(caught.value)
    assert caught.value.hint == "change the requirements"


def test_an_upper_bound_lowers_the_pin_below(project: Workspace) -> None:
    spec = project.spec(runtime=["num"], frameworks={"web": ["modest"]}, app=["old-fashioned"])
    locked = project.lock(spec, joint=True)
    assert versions(locked["py"]) == {"num": "1.0"}
    assert {package.name: package.shared for package in locked["app-hello"].packages} == {
        "num": True,
        "old-fashioned": False,
    }
    assert set(stale_reasons(Project(spec)).values()) == {None}


def test_a_joint_lock_stays_joint(project: Workspace) -> None:
    project.lock(project.spec(runtime=["num"], app=["modest"]), joint=True)
    spec = project.spec(runtime=["num"], app=["modest"])
    before = lock_path(spec, spec.layer("py")).read_bytes()
    project.lock(spec)
    assert lock_path(spec, spec.layer("py")).read_bytes() == before
    upgraded = project.lock(spec, upgrade=True)
    assert versions(upgraded["py"]) == {"num": "2.0"}
    lower = project.lock(project.spec(runtime=["num"], app=["modest", "old-fashioned"]))
    assert versions(lower["py"]) == {"num": "1.0"}
    kept = project.lock(project.spec(runtime=["num"], app=["modest"]))
    assert versions(kept["py"]) == {"num": "1.0"}
    assert all(one.joint for one in kept.values())


def test_include_in_a_joint_lock_takes_all_of_it(project: Workspace) -> None:
    project.lock(project.spec(runtime=["num"], app=["modest"]), joint=True)
    spec = project.spec(runtime=["num"], app=["old-fashioned"])
    locked = project.lock(spec, request=SelectionRequest(include=("app-hello",)))
    assert versions(locked["py"]) == {"num": "1.0"}


def test_no_joint_goes_back(project: Workspace) -> None:
    project.lock(project.spec(runtime=["num"], app=["modest"]), joint=True)
    spec = project.spec(runtime=["num"], app=[])
    locked = project.lock(spec, joint=False, upgrade=True)
    assert versions(locked["py"]) == {"num": "3.0"}
    assert not any(one.joint for one in locked.values())


def test_frameworks_that_never_meet_may_differ(project: Workspace) -> None:
    spec = stacks(project, [], {"old": ["old-fashioned"], "new": ["newest"]}, {"a": ["old"], "b": ["new"]})
    locked = project.lock(spec, joint=True)
    assert versions(locked["framework-old"])["num"] == "1.0"
    assert versions(locked["framework-new"])["num"] == "3.0"


@pytest.mark.parametrize("first", ["a", "b"])
def test_what_is_below_suits_stacks_that_never_meet(project: Workspace, first: str) -> None:
    """One stack takes 2.0 at most, the other 2.0 at least; what they hold besides cannot be resolved together."""
    for version in ("1.0", "2.0"):
        make_wheel(project.wheels, "kit", version, {"kit.py": ""})
    spec = stacks(
        project,
        ["num"],
        {"old": ["modest", "kit<2"], "new": ["modern", "kit>=2"]},
        dict(sorted({"a": ["old"], "b": ["new"]}.items(), key=lambda one: one[0] != first)),
    )
    locked = project.lock(spec, joint=True)
    assert versions(locked["py"]) == {"num": "2.0"}
    assert versions(locked["framework-old"])["kit"] == "1.0"
    assert versions(locked["framework-new"])["kit"] == "2.0"
    assert [(one.name, one.version, one.without) for one in locked["py"].findings.held_back] in (
        [],
        [("num", "2.0", "3.0")],
    )


def test_frameworks_that_meet_agree(project: Workspace) -> None:
    spec = stacks(project, [], {"one": ["num"], "other": ["modest"]}, {"a": ["one", "other"]})
    locked = project.lock(spec, joint=True)
    assert versions(locked["framework-one"]) == {"num": "2.0"}
    assert versions(locked["framework-other"])["num"] == "2.0"


def test_what_one_stack_imposes_holds_beside_it_too(project: Workspace) -> None:
    """`both` takes num 2.0 for the sake of one stack; in the other, `loose` beside it must not take another."""
    for version in ("1.0", "2.0"):
        make_wheel(project.wheels, "kit", version, {"kit.py": ""})
    frameworks = {"both": ["num"], "loose": ["num", "kit<2"], "bound": ["modest", "kit>=2"]}
    spec = stacks(project, [], frameworks, {"a": ["both", "loose"], "b": ["both", "bound"]})
    locked = project.lock(spec, joint=True)
    assert {name: versions(one).get("num") for name, one in locked.items() if name.startswith("framework")} == {
        "framework-both": "2.0",
        "framework-loose": "2.0",
        "framework-bound": "2.0",
    }
    [held] = locked["framework-both"].findings.held_back
    assert (held.name, held.version, held.without) == ("num", "2.0", "3.0")
    assert held.by == ("num==2.0, on which all stacks agree",)


def test_stacks_that_cannot_agree_are_named(project: Workspace) -> None:
    spec = stacks(project, ["num"], {"old": ["old-fashioned"], "new": ["newest"]}, {"a": ["old"], "b": ["new"]})
    with pytest.raises(LockError) as caught:
        project.lock(spec, joint=True)
    text = str(caught.value)
    assert "the layers above py need different versions of num" in text
    assert "framework-old, app-a: num 1.0" in text
    assert "framework-new, app-b: num 3.0" in text


def test_layers_that_meet_and_contradict_are_named(project: Workspace) -> None:
    spec = project.spec(runtime=["num"], frameworks={"web": ["old-fashioned"]}, app=["newest"])
    with pytest.raises(LockError) as caught:
        project.lock(spec, joint=True)
    text = str(caught.value)
    assert "framework-web" in text
    assert "app-hello" in text
    assert "--joint" not in text.replace("--no-joint", "")


def test_a_joint_lock_is_the_same_again(project: Workspace, tmp_path: Path) -> None:
    spec = project.spec(runtime=["num"], frameworks={"web": ["modest"]}, app=["modern"])
    project.lock(spec, joint=True)
    first = {layer.env_name: lock_path(spec, layer).read_bytes() for layer in spec.layers}
    for layer in spec.layers:
        lock_path(spec, layer).unlink()
    project.lock(spec, joint=True)
    assert {layer.env_name: lock_path(spec, layer).read_bytes() for layer in spec.layers} == first


def test_a_bound_on_other_platforms_binds_only_there(project: Workspace) -> None:
    project.targets = ("linux_x86_64", "win_amd64")
    spec = project.spec(runtime=["num"], app=["old-fashioned"])
    text = spec.path.read_text().replace("name='hello'", "name='hello'\nplatforms=['win_amd64']")
    spec.path.write_text(text)
    locked = project.lock(load(spec.path), joint=True)["py"]
    assert {package.version: package.marker for package in locked.packages} == {
        "1.0": "sys_platform == 'win32' and platform_machine == 'AMD64'",
        "3.0": "sys_platform == 'linux' and platform_machine == 'x86_64'",
    }
