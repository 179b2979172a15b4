"""Locking by real uv, from wheels made here, without an index."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from scripts.testing.wheels import make_wheel
from vstore.errors import LockError
from vstore.lock import InterpreterPin, LockedLayer, LockOptions, Project, PythonForLocking, lock_path
from vstore.lock.resolution.resolve import lock
from vstore.lock.staleness import stale_reasons
from vstore.reporter import NullReporter, Reporter, Unit
from vstore.spec import Spec, load
from vstore.spec.select import Operation, SelectionRequest, select_layers
from vstore.target import Target
from vstore.uv import Uv
from vstore.uv.bars import ResolvedPackages

VERSION = ".".join(map(str, sys.version_info[:3]))
MINOR = VERSION.rpartition(".")[0]


@dataclass
class Workspace:
    """A spec on disk, a folder of wheels beside it, and a private uv cache."""

    folder: Path
    targets: Sequence[str] = ("linux_x86_64",)

    @property
    def wheels(self) -> Path:
        return self.folder / "wheels"

    def spec(
        self,
        runtime: Sequence[str] = (),
        frameworks: Mapping[str, Sequence[str]] = MappingProxyType({}),
        app: Sequence[str] = (),
    ) -> Spec:
        """A runtime `py`, frameworks on it, and an application `hello` on all the frameworks (or on the runtime)."""
        text = f"[[runtimes]]\nname='py'\npython_implementation='cpython@{MINOR}'\n"
        text += f"requirements={list(runtime)}\nplatforms={list(self.targets)}\n"
        for name, requirements in frameworks.items():
            text += f"[[frameworks]]\nname='{name}'\nruntime='py'\nrequirements={list(requirements)}\n"
        below = f"frameworks={list(frameworks)}" if frameworks else "runtime='py'"
        text += f"[[applications]]\nname='hello'\nlaunch_module='hello.py'\nrequirements={list(app)}\n{below}\n"
        (self.folder / "hello.py").write_text("")
        (self.folder / "spec.toml").write_text(text)
        return load(self.folder / "spec.toml")

    def lock(
        self,
        spec: Spec,
        environment: Mapping[str, str] = MappingProxyType({}),
        request: SelectionRequest | None = None,
        reporter: Reporter | None = None,
        **options: Any,
    ) -> dict[str, LockedLayer]:
        pin = InterpreterPin(implementation="cpython", version=VERSION, source="adopted")
        pythons = {layer.name: PythonForLocking(path=Path(sys.executable), pin=pin) for layer in spec.layers}
        how = LockOptions(**{"index": False, "local_wheels": (self.wheels,), **options})
        uv = Uv(cache_dir=self.folder / "cache", environment=environment)
        full = Operation.LOCK if how.upgrade or how.upgrade_packages else Operation.LOCK_IF_NEEDED
        selection = select_layers(spec, request or SelectionRequest(lock=full), Target.LINUX_X86_64)
        locked = lock(Project(spec), selection, how, uv=uv, pythons=pythons, reporter=reporter or NullReporter())
        return {one.env_name: one for one in locked}


@pytest.fixture
def project(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path)
    made.wheels.mkdir()
    for version in ("1.0", "2.0"):
        make_wheel(made.wheels, "alpha", version, {"alpha.py": f"V = '{version}'\n"})
        make_wheel(made.wheels, "beta", version, {"beta.py": ""}, requires=["alpha"])
    make_wheel(made.wheels, "needs-new", "1.0", {"needs_new.py": ""}, requires=["alpha>=2"])
    return made


def versions(locked: LockedLayer) -> dict[str, str]:
    return {package.name: package.version for package in locked.packages}


def document(spec: Spec, name: str) -> dict[str, Any]:
    return tomllib.loads(lock_path(spec, spec.layer(name)).read_text("utf-8"))


def test_lower_pins_constrain_and_are_shared(project: Workspace) -> None:
    spec = project.spec(runtime=["alpha==1.0"], app=["beta"])
    locked = project.lock(spec)
    alpha, beta = locked["app-hello"].packages
    assert (alpha.name, alpha.version, alpha.shared, alpha.wheels) == ("alpha", "1.0", True, ())
    assert (beta.name, beta.version, beta.shared) == ("beta", "2.0", False)
    shared, own = document(spec, "app-hello")["packages"]
    assert shared == {"name": "alpha", "version": "1.0", "marker": "sys_platform == 'from_lower_layer'"}
    assert "marker" not in own
    assert "sdist" not in own


def test_local_wheels_are_relative_with_their_hash(project: Workspace) -> None:
    spec = project.spec(runtime=["alpha"])
    project.lock(spec)
    [package] = document(spec, "py")["packages"]
    [wheel] = package["wheels"]
    assert wheel["path"] == "../../wheels/alpha-2.0-py3-none-any.whl"
    assert "url" not in wheel
    assert len(wheel["hashes"]["sha256"]) == 64


def test_files_have_venvstacks_names(project: Workspace) -> None:
    spec = project.spec(runtime=["alpha"], frameworks={"web.1": ["beta"]})
    project.lock(spec)
    folder = project.folder / "requirements" / "framework-web.1"
    assert {path.name for path in folder.iterdir()} == {
        "requirements-framework-web_1.in",
        "pylock.framework-web_1.toml",
        "pylock.framework-web_1.meta.json",
        "packages-framework-web.1.txt",
    }


def test_the_lock_pins_the_interpreter(project: Workspace) -> None:
    locked = project.lock(project.spec())
    pin = locked["py"].interpreter
    assert pin is not None
    assert (pin.version, pin.source) == (VERSION, "adopted")
    assert locked["app-hello"].interpreter is None


def test_a_valid_lock_is_not_touched(project: Workspace) -> None:
    spec = project.spec(runtime=["alpha"], app=["beta"])
    project.lock(spec)
    assert set(stale_reasons(Project(spec)).values()) == {None}
    files = [path for path in (project.folder / "requirements").rglob("*") if path.is_file()]
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes()) for path in files}
    make_wheel(project.wheels, "alpha", "3.0", {"alpha.py": ""})
    project.lock(spec)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes()) for path in files} == before


def test_a_stale_lock_says_why(project: Workspace) -> None:
    spec = project.spec(runtime=["alpha"], app=["beta"])
    assert stale_reasons(Project(spec))["py"] == "not locked yet"
    project.lock(spec)
    stale = stale_reasons(Project(project.spec(runtime=["alpha"], app=["beta==1.0"])))
    assert stale["py"] is None
    assert stale["app-hello"] is not None
    assert "requirements changed" in stale["app-hello"]
    stale = stale_reasons(Project(project.spec(runtime=["alpha==1.0"], app=["beta"])))
    assert stale["app-hello"] is not None
    assert "py" in stale["app-hello"]
    path = lock_path(spec, spec.layer("app-hello"))
    path.write_text(path.read_text("utf-8").replace('"2.0"', '"1.0"'), "utf-8")
    assert "edited by hand" in (stale_reasons(Project(spec))["app-hello"] or "")


def test_relocking_keeps_pins_until_upgraded(project: Workspace) -> None:
    spec = project.spec(app=["alpha"])
    project.lock(spec)
    make_wheel(project.wheels, "alpha", "3.0", {"alpha.py": ""})
    make_wheel(project.wheels, "beta", "3.0", {"beta.py": ""}, requires=["alpha"])
    wider = project.spec(app=["alpha", "beta"])
    assert versions(project.lock(wider)["app-hello"]) == {"alpha": "2.0", "beta": "3.0"}
    assert versions(project.lock(wider, upgrade_packages=("alpha",))["app-hello"])["alpha"] == "3.0"


def test_one_pin_that_must_move_leaves_the_others(project: Workspace) -> None:
    spec = project.spec(app=["alpha==1.0", "beta==1.0"])
    project.lock(spec)
    moved = project.lock(project.spec(app=["alpha", "beta", "needs-new"]))["app-hello"]
    assert versions(moved) == {"alpha": "2.0", "beta": "1.0", "needs-new": "1.0"}


def test_markers_are_settled_per_target(tmp_path: Path) -> None:
    project = Workspace(tmp_path, targets=("linux_x86_64", "win_amd64"))
    project.wheels.mkdir()
    for name in ("everywhere", "windows", "mac"):
        make_wheel(project.wheels, name, "1.0", {f"{name}.py": ""})
    wanted = ["everywhere", "windows; sys_platform == 'win32'", "mac; sys_platform == 'darwin'"]
    spec = project.spec(app=wanted)
    project.lock(spec)
    packages = {one["name"]: one for one in document(spec, "app-hello")["packages"]}
    assert set(packages) == {"everywhere", "windows"}
    assert "marker" not in packages["everywhere"]
    assert "win32" in packages["windows"]["marker"]


def test_a_target_without_a_wheel_is_refused(tmp_path: Path) -> None:
    project = Workspace(tmp_path, targets=("linux_x86_64", "win_amd64"))
    project.wheels.mkdir()
    make_wheel(project.wheels, "native", "1.0", {"native.py": ""}, tag="py3-none-manylinux_2_17_x86_64")
    with pytest.raises(LockError) as caught:
        project.lock(project.spec(app=["native"]))
    assert "native" in str(caught.value)
    assert "platforms" in (caught.value.hint or "")


def test_a_requirement_nobody_has(project: Workspace) -> None:
    with pytest.raises(LockError) as caught:
        project.lock(project.spec(app=["no-such-package"]))
    text = str(caught.value)
    assert "app-hello" in text.splitlines()[0]
    assert "no-such-package" in text
    assert caught.value.hint


def test_a_conflict_names_both_layers_and_the_pin(project: Workspace) -> None:
    with pytest.raises(LockError) as caught:
        project.lock(project.spec(runtime=["alpha==1.0"], app=["alpha>=2"]))
    text = str(caught.value)
    assert "app-hello" in text
    assert "alpha==1.0" in text
    assert "layer py" in text


def test_a_conflict_blames_no_bystander(project: Workspace) -> None:
    """`low` stands in "following" and "allow", but not as a package of its own."""
    make_wheel(project.wheels, "a", "1.0", {"a.py": ""})
    with pytest.raises(LockError) as caught:
        project.lock(project.spec(runtime=["a==1.0", "alpha==1.0"], app=["alpha>=2"]))
    assert "a==1.0 is pinned" not in str(caught.value).replace("alpha==1.0 is pinned", "")


def test_a_source_distribution_is_refused_with_a_way_out(project: Workspace) -> None:
    (project.wheels / "sourceonly-1.0.tar.gz").write_bytes(b"")
    with pytest.raises(LockError) as caught:
        project.lock(project.spec(app=["sourceonly"]))
    assert "uv build --wheel" in (caught.value.hint or "")


def test_metadata_hashes_as_venvstacks_does(project: Workspace) -> None:
    spec = project.spec(runtime=["alpha==1.0"], app=["beta"])
    project.lock(spec)
    meta = json.loads((project.folder / "requirements/app-hello/pylock.app-hello.meta.json").read_text())
    expected = {"lock_input_hash", "requirements_hash", "other_inputs_hash", "version_inputs_hash"}
    assert set(meta) >= expected | {"lock_version", "locked_at"}


def test_a_malformed_lock_is_named(project: Workspace) -> None:
    spec = project.spec()
    project.lock(spec)
    lock_path(spec, spec.layer("py")).write_text("= nonsense")
    with pytest.raises(LockError, match="py"):
        assert Project(spec).locks


@pytest.mark.network
def test_real_packages_for_three_systems(tmp_path: Path) -> None:
    project = Workspace(tmp_path, targets=("linux_x86_64", "macosx_arm64", "win_amd64"))
    spec = project.spec(runtime=["numpy"], frameworks={"science": ["scipy"]})
    locked = project.lock(spec, environment=os.environ, index=True, local_wheels=())
    numpy, scipy = locked["framework-science"].packages
    assert numpy.shared
    assert not scipy.shared
    names = " ".join(wheel.filename for wheel in scipy.wheels)
    assert all(part in names for part in ("x86_64", "arm64", "win_amd64"))
    assert {Target.LINUX_X86_64, Target.WIN_AMD64} <= set(spec.layers[0].targets)


@pytest.mark.parametrize("marker", ["", "; sys_platform == 'linux'"])
def test_what_is_shadowed_does_not_constrain(tmp_path: Path, marker: str) -> None:
    """Two frameworks with different versions in one application: the nearer one's counts, also under a condition."""
    project = Workspace(tmp_path, targets=("linux_x86_64", "win_amd64"))
    project.wheels.mkdir()
    for version in ("1.0", "2.0"):
        make_wheel(project.wheels, "alpha", version, {"alpha.py": ""})
    frameworks = {"near": [f"alpha==2.0{marker}"], "far": [f"alpha==1.0{marker}"]}
    locked = project.lock(project.spec(frameworks=frameworks, app=[f"alpha{marker}"]))
    assert [(one.version, one.shared) for one in locked["app-hello"].packages] == [("2.0", True)]


class Shown(NullReporter):
    """Keeps the stages."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, str, int]] = []

    def progress(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None:
        self.stages.append((subject, activity, done))


def test_the_packages_of_a_resolution_are_counted_while_it_lasts() -> None:
    """uv draws ``⠙ name==1.0`` for each; in pieces, with styles, and again and again."""
    counts: list[int] = []
    drawing = ResolvedPackages(counts.append)
    text = "⠋ Resolving dependencies...\r⠙ \x1b[2malpha==1.0\x1b[0m\r⠙ alpha==1.0 \r⠹ be-ta==2.0\r⠸ Resolving\r"
    for one in text:
        drawing.draw(one)
    assert counts == [1, 2]


def test_each_platform_is_a_step_that_is_shown(project: Workspace) -> None:
    shown = Shown()
    project.lock(project.spec(runtime=["alpha"], app=["beta"]), reporter=shown)
    subjects = list(dict.fromkeys((subject, activity) for subject, activity, _ in shown.stages))
    assert subjects == [("py", "resolving for linux_x86_64"), ("app-hello", "resolving for linux_x86_64")]
