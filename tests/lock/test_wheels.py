"""Every target has a wheel, local wheels, wheels named by URL, and whose settings uv reads."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from tests.lock.test_lock import MINOR, VERSION, Workspace, document, versions
from vstore.errors import LockError
from vstore.lock.markers import wheel_tags
from vstore.lock.model import LockedPackage, LockedWheel
from vstore.lock.wheels import best_wheel, select_wheels
from vstore.spec import load
from vstore.target import Target

ABI = "cp" + MINOR.replace(".", "")


def project_for(folder: Path, *targets: str) -> Workspace:
    made = Workspace(folder, targets=targets)
    made.wheels.mkdir()
    return made


@pytest.mark.parametrize("columns", ["40", "80", "1000"])
def test_all_missing_wheels_are_told_with_the_line_to_write(tmp_path: Path, columns: str) -> None:
    """venvstacks' own sample project: dlltracer has no wheel for Windows on ARM."""
    project = project_for(tmp_path, "linux_x86_64", "win_amd64", "win_arm64")
    make_wheel(project.wheels, "dlltracer", "1.0", {"d.py": ""}, tag=f"{ABI}-{ABI}-win_amd64")
    make_wheel(project.wheels, "onlylinux", "2.0", {"o.py": ""}, tag=f"{ABI}-{ABI}-manylinux_2_17_x86_64")
    make_wheel(project.wheels, "onlylinux", "2.0", {"o.py": ""}, tag=f"{ABI}-{ABI}-win_amd64")
    wanted = project.spec(runtime=["dlltracer; sys_platform == 'win32'", "onlylinux"])
    with pytest.raises(LockError) as caught:
        project.lock(wanted, environment={"COLUMNS": columns})  # at which uv breaks its text
    assert caught.value.details == (
        "dlltracer 1.0: no wheel for win_arm64 (available: win_amd64)",
        "onlylinux 2.0: no wheel for win_arm64 (available: manylinux_2_17_x86_64, win_amd64)",
    )
    assert "set `platforms = ['linux_x86_64', 'win_amd64']` in layer py" in (caught.value.hint or "")
    assert "fromager" in (caught.value.hint or "")
    narrow = Workspace(tmp_path, targets=("linux_x86_64", "win_amd64"))
    assert versions(narrow.lock(narrow.spec(runtime=["dlltracer; sys_platform == 'win32'", "onlylinux"]))["py"])


@pytest.mark.parametrize("abi", [f"{ABI}t", f"{ABI}d"])
def test_a_wheel_for_a_free_threaded_python_is_told_with_its_whole_tag(tmp_path: Path, abi: str) -> None:
    """Its platform would fit, so the platform alone does not say why the wheel does not."""
    project = project_for(tmp_path, "linux_x86_64")
    make_wheel(project.wheels, "free", "1.0", {"f.py": ""}, tag=f"{ABI}-{abi}-manylinux_2_17_x86_64")
    with pytest.raises(LockError) as caught:
        project.lock(project.spec(runtime=["free"]))
    tag = f"{ABI}-{abi}-manylinux_2_17_x86_64"
    assert f"free 1.0: no wheel for linux_x86_64 (available: {tag})" in caught.value.details


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_the_platforms_of_the_hint_can_be_locked(tmp_path: Path, named: bool, joint: bool) -> None:
    """`first` has no wheel for this machine, `second` has none for ARM, `third`'s newest has one for Linux only."""
    project = project_for(tmp_path, *map(str, Target))
    for target in ("win_amd64", "win_arm64", "macosx_12_0_x86_64", "macosx_12_0_arm64", "manylinux_2_17_aarch64"):
        make_wheel(project.wheels, "first", "1.0", {"first.py": ""}, tag=f"{ABI}-{ABI}-{target}")
    for target in ("win_amd64", "macosx_12_0_x86_64", "manylinux_2_17_x86_64"):
        make_wheel(project.wheels, "second", "1.0", {"second.py": ""}, tag=f"{ABI}-{ABI}-{target}")
    make_wheel(project.wheels, "third", "1.0", {"third.py": ""})
    make_wheel(project.wheels, "third", "2.0", {"third.py": ""}, tag=f"{ABI}-{ABI}-manylinux_2_17_x86_64")
    spec = project.spec(runtime=["third"], app=["first", "second", "third"])
    lines = f"platforms={list(project.targets)}\n"
    text = spec.path.read_text()
    spec.path.write_text(text if named else text.replace(lines, ""))
    with pytest.raises(LockError) as caught:
        project.lock(load(spec.path), joint=joint, target=Target.LINUX_X86_64)
    setting = "platforms = ['macosx_x86_64', 'win_amd64']"
    assert f"set `{setting}` in layer hello" in (caught.value.hint or "")
    assert "third" not in str(caught.value)  # an older version of it would do
    spec.path.write_text(text.replace(lines, "").replace("name='hello'", f"name='hello'\n{setting}"))
    assert project.lock(load(spec.path), joint=joint, target=Target.WIN_AMD64)["app-hello"].packages


def test_an_older_version_with_all_wheels_is_taken(tmp_path: Path) -> None:
    project = project_for(tmp_path, "linux_x86_64", "win_amd64")
    make_wheel(project.wheels, "native", "1.0", {"n.py": ""})
    make_wheel(project.wheels, "native", "2.0", {"n.py": ""}, tag=f"{ABI}-{ABI}-win_amd64")
    assert versions(project.lock(project.spec(app=["native"]))["app-hello"]) == {"native": "1.0"}


@pytest.mark.parametrize(
    ("tag", "target", "fields", "environment", "fits"),
    [
        ("manylinux_2_28_x86_64", "linux_x86_64", "", {}, True),
        ("manylinux_2_29_x86_64", "linux_x86_64", "", {}, False),
        ("manylinux_2_34_x86_64", "linux_x86_64", "linux_target = 'glibc@2.34'", {}, True),
        ("manylinux_2_28_x86_64", "linux_x86_64", "linux_target = 'glibc'", {}, True),
        ("manylinux_2_34_x86_64", "linux_x86_64", "linux_target = 'glibc'", {}, False),
        ("manylinux2014_aarch64", "linux_aarch64", "linux_target = 'glibc@2.17'", {}, True),
        ("manylinux_2_28_aarch64", "linux_aarch64", "linux_target = 'glibc@2.17'", {}, False),
        ("manylinux_2_28_aarch64", "linux_x86_64", "", {}, False),
        ("linux_x86_64", "linux_x86_64", "", {}, True),
        ("musllinux_1_2_x86_64", "linux_x86_64", "", {}, False),
        ("macosx_13_0_arm64", "macosx_arm64", "", {}, True),
        ("macosx_14_0_arm64", "macosx_arm64", "", {}, False),
        ("macosx_14_0_arm64", "macosx_arm64", "macosx_target = '14'", {}, True),
        ("macosx_14_0_arm64", "macosx_arm64", "", {"MACOSX_DEPLOYMENT_TARGET": "14.0"}, True),
        ("macosx_14_0_arm64", "macosx_arm64", "macosx_target = '13.0'", {"MACOSX_DEPLOYMENT_TARGET": "14.0"}, False),
        ("macosx_10_9_universal2", "macosx_arm64", "", {}, True),
        ("macosx_10_9_x86_64", "macosx_x86_64", "", {}, True),
        ("macosx_arm64", "macosx_arm64", "", {}, True),
        ("win_amd64", "win_amd64", "", {}, True),
        ("win_arm64", "win_amd64", "", {}, False),
        ("py3-none-any", "win_arm64", "", {}, True),
    ],
)
def test_which_wheels_a_target_can_use(
    tmp_path: Path, tag: str, target: str, fields: str, environment: dict[str, str], fits: bool
) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text(f"[[runtimes]]\nname='py'\npython_implementation='cpython@3.11'\nrequirements=[]\n{fields}\n")
    layer = load(spec, environment=environment).layer("py")
    tags = tag if "-" in tag else f"cp311-cp311-{tag}"
    wheel = LockedWheel(location=f"native-1.0-{tags}.whl", hashes={"sha256": ""})
    package = LockedPackage(name="native", version="1.0", wheels=(wheel,))
    assert (best_wheel(package, wheel_tags(layer, Target(target), "3.11.7")) is not None) == fits


def test_a_source_distribution_is_refused_by_name(tmp_path: Path) -> None:
    project = project_for(tmp_path, "linux_x86_64")
    (project.wheels / "sourceonly-1.0.tar.gz").write_bytes(b"")
    with pytest.raises(LockError) as caught:
        project.lock(project.spec(app=["sourceonly"]))
    assert "app-hello cannot be locked: no wheel of sourceonly" in caught.value.message
    assert all(word in (caught.value.hint or "") for word in ("uv build --wheel", "fromager", "--local-wheels"))


@pytest.mark.parametrize(
    ("requirement", "said", "hint"),
    [
        (
            "x @ git+https://example.org/y",
            "this is not the URL of a wheel",
            "git clone https://example.org/y y && uv build --wheel",
        ),
        ("x @ https://example.org/x-1.0.tar.gz", "this is not the URL of a wheel", "curl -fL -o x-1.0.tar.gz"),
        (
            "x[a] @ file:../lib",
            "this is not the URL of a wheel",
            "`uv build --wheel -o wheels ../lib`, require it by its name (`x[a]`)",
        ),
        ("x @ ./lib", "this is not the URL of a wheel", "`uv build --wheel -o wheels ./lib`"),
        ("x @ git@example.org:org/y.git", "this is not the URL of a wheel", "git clone git@example.org:org/y.git y &&"),
        (
            "x @ wheels/x-1.0-py3-none-any.whl",
            "a relative path is not a URL",
            "`vstore lock --local-wheels wheels spec.toml`",
        ),
        (
            "x[a] @ file:./x-1.0-py3-none-any.whl ; python_version > '3'",
            "a relative path is not a URL",
            "(`x[a] ; python_version > '3'`), and run `vstore lock --local-wheels . spec.toml`",
        ),
    ],
)
def test_what_would_have_to_be_built_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requirement: str, said: str, hint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    project = project_for(tmp_path, "linux_x86_64")
    spec = project.spec(app=["x"])
    spec.path.write_text(spec.path.read_text().replace("['x']", json.dumps([requirement])))
    with pytest.raises(LockError, match=f"layer app-hello: .*{said}: x") as caught:
        project.lock(load(spec.path))
    assert hint in (caught.value.hint or "")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Workspace, str]]:
    """A project, and a server on this machine that offers a folder of wheels."""
    project = project_for(tmp_path, "linux_x86_64")
    folder = tmp_path / "served"
    folder.mkdir()
    make_wheel(folder, "remote", "1.0+x", {"remote.py": ""})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield project, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_wheel_named_by_its_url_is_pinned(served: tuple[Workspace, str]) -> None:
    project, base = served
    make_wheel(project.wheels, "above", "1.0", {"above.py": ""}, requires=["remote"])
    url = f"{base}remote-1.0%2Bx-py3-none-any.whl"
    spec = project.spec(runtime=[f"remote @ {url}"], app=["above"])
    locked = project.lock(spec)
    [wheel] = document(spec, "py")["packages"][0]["wheels"]
    content = (project.folder / "served" / "remote-1.0+x-py3-none-any.whl").read_bytes()
    assert wheel == {"url": url, "hashes": {"sha256": hashlib.sha256(content).hexdigest()}}
    [chosen] = select_wheels(locked["py"], spec.layer("py"), Target.LINUX_X86_64, VERSION)
    assert (chosen.location, chosen.filename) == (url, "remote-1.0+x-py3-none-any.whl")
    assert {one.name: one.shared for one in locked["app-hello"].packages} == {"above": False, "remote": True}


def test_the_hash_behind_a_url_is_the_one_to_be_had(served: tuple[Workspace, str]) -> None:
    """It is held to when the wheel is installed; locking does not fetch the whole of it."""
    project, base = served
    spec = project.spec(app=[f"remote @ {base}remote-1.0%2Bx-py3-none-any.whl#sha256={'0' * 64}"])
    [package] = project.lock(spec)["app-hello"].packages
    assert package.wheels[0].sha256 == "0" * 64
    assert "#" not in package.wheels[0].location


def test_the_settings_of_the_user_play_no_part(tmp_path: Path) -> None:
    project = project_for(tmp_path, "linux_x86_64")
    for version in ("1.0", "2.0"):
        make_wheel(project.wheels, "alpha", version, {"alpha.py": ""})
    config = tmp_path / "home" / ".config" / "uv"
    config.mkdir(parents=True)
    (config / "uv.toml").write_text('resolution = "lowest"\n')
    home = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "home" / ".config")}
    spec = project.spec(app=["alpha"])
    text = spec.path.read_text() + "[tool.uv]\nfind-links = ['wheels']\nno-index = true\n"
    spec.path.write_text(text)
    locked = project.lock(load(spec.path), environment=home, index=True, local_wheels=())
    assert versions(locked["app-hello"]) == {"alpha": "2.0"}


def test_a_setting_that_uv_does_not_know_is_told(tmp_path: Path) -> None:
    project = project_for(tmp_path, "linux_x86_64")
    spec = project.spec()
    spec.path.write_text(spec.path.read_text() + "[tool.uv]\nfind-linx = []\n")
    with pytest.raises(LockError, match=r"uv does not accept the settings in \[tool.uv\]") as caught:
        project.lock(load(spec.path))
    assert "find-linx" in str(caught.value)
