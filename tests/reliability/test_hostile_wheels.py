"""Wheels that would write outside, hide, or run while they are installed."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts.reliability.crashes.promises import check_intact, check_nothing_left
from scripts.testing.wheels import make_wheel
from scripts.testing.world import World
from tests.build.layers import SITE, Store, pin
from vstore.errors import BuildError, ToolError

pytestmark = pytest.mark.slow

INFO = "bad-1.dist-info"
METADATA = "Metadata-Version: 2.1\nName: bad\nVersion: 1\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def raw_wheel(folder: Path, members: Mapping[str, bytes | str], record: bytes | str | None = None) -> Path:
    """A wheel of exactly these members, whatever they are called; a RECORD of them all unless one is given."""
    path = folder / "bad-1-py3-none-any.whl"
    every = {"bad.py": "", f"{INFO}/METADATA": METADATA, f"{INFO}/WHEEL": WHEEL, **members}
    lines = "".join(f"{name},,\n" for name in [*every, f"{INFO}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in every.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
        archive.writestr(f"{INFO}/RECORD", lines if record is None else record)
    return path


def try_wheel(tmp_path: Path, wheel: Path) -> list[str]:
    """Install it alone; what it brought, nothing if it was refused. Nothing else may have changed."""
    store = Store(tmp_path / "place")
    (tmp_path / "mine").write_text("mine")
    before = set(os.listdir(tmp_path))
    prefix = store.folder / "layer"
    try:
        store.install(prefix, [pin(wheel)])
    except (BuildError, ToolError):
        assert not prefix.exists() or os.listdir(prefix) == [], "refused, and something is left"
    assert set(os.listdir(tmp_path)) == before and (tmp_path / "mine").read_text() == "mine"
    for place in (tmp_path, store.folder, Path("/tmp"), Path("/")):
        assert not {"evil", "evil.py"} & set(os.listdir(place)), f"written into {place}"
    found = []
    for place in sorted(prefix.rglob("*")):
        mode = place.lstat().st_mode
        assert stat.S_ISREG(mode) or stat.S_ISDIR(mode), f"{place} is neither a file nor a folder"
        if stat.S_ISREG(mode):
            found.append(place.relative_to(prefix).as_posix())
    return found


@pytest.mark.parametrize(
    "member",
    ["../../../../evil.py", "/tmp/evil.py", "bad-1.data/data/../../../../evil", "bad-1.data/data//tmp/evil",
     "bad-1.data/scripts/../../../../evil", "..\\..\\evil.py"],
)  # fmt: skip
def test_members_that_would_leave(tmp_path: Path, member: str) -> None:
    wheel = raw_wheel(tmp_path, {member: "evil"})
    assert not [path for path in try_wheel(tmp_path, wheel) if path.startswith(("/", ".."))]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR])
def test_members_that_are_no_files(tmp_path: Path, kind: int) -> None:
    wheel = raw_wheel(tmp_path, {})
    with zipfile.ZipFile(wheel, "a") as archive:
        info = zipfile.ZipInfo("odd", (2020, 1, 1, 0, 0, 0))
        info.create_system = 3
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    try_wheel(tmp_path, wheel)


@pytest.mark.parametrize(
    "record",
    ["../../../../../../evil.py,,\n", "/etc/passwd,,\n", '"bad\n.py",,\n', b"\xff\xfe,,\n", "\0,,\n", '"open', "",
     "bad.py,sha256=AAAA,1\n", "bad.py,,\n" * 50_000, "..,,\n"],
)  # fmt: skip
def test_records_that_lie(tmp_path: Path, record: str | bytes) -> None:
    found = try_wheel(tmp_path, raw_wheel(tmp_path, {}, record))
    if found:
        text = next(place for place in tmp_path.rglob(f"layer/{SITE}/{INFO}/RECORD")).read_text()
        assert f"{INFO}/METADATA,sha256=" in text, "what RECORD did not tell is told now"
        assert "evil" not in text and "passwd" not in text


@pytest.mark.parametrize(
    "name",
    ["../../bin/python3", "/tmp/evil", "a\nb", "x; rm -rf ~", "$(id)", "x'; touch evil; '", "..", "", "a\\b", "-c"],
)  # fmt: skip
def test_names_of_scripts(tmp_path: Path, name: str) -> None:
    points = f"[console_scripts]\n{name} = bad:main\n"
    for path in try_wheel(tmp_path, raw_wheel(tmp_path, {f"{INFO}/entry_points.txt": points})):
        parts = path.split("/")
        assert parts[0] in ("bin", "lib", "libexec") and ".." not in parts and "\n" not in path


@pytest.mark.parametrize(
    "names",
    [("a.py", "A.py"), ("é.py", "e\u0301.py"), ("bad.py", "bad.py/x.py")],
)
def test_names_that_collide(tmp_path: Path, names: tuple[str, str]) -> None:
    """Taken as two files where the file system has room for two, or refused; never one over the other unsaid."""
    first, second = names
    found = try_wheel(tmp_path, raw_wheel(tmp_path, {first: "first", second: "second"}))
    assert not found or {f"{SITE}/{first}", f"{SITE}/{second}"} <= set(found)


def offer(world: World, files: Mapping[str, str], entry_points: Mapping[str, str] | None = None) -> None:
    """Another ns-app in place of the world's, for which there is no lock yet."""
    (world.wheels / "ns_app-1.0-py3-none-any.whl").unlink()
    shutil.rmtree(world.spec.parent / "requirements" / "app-hello")
    make_wheel(world.wheels, "ns-app", "2.0", files, entry_points=entry_points)


def test_nothing_of_a_wheel_runs_while_it_is_built(world: World, tmp_path: Path) -> None:
    """What Python runs when it starts (`.pth`, sitecustomize), what importing or compiling might run."""
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'a').write(__name__)\n"
    files = dict.fromkeys(("sitecustomize.py", "usercustomize.py", "encodings.py", "ns/app.py", "zipimport.py"), code)
    files["evil.pth"] = f"import builtins; builtins.open({str(ran)!r}, 'a').write('pth')\n"
    offer(world, files)
    (world.spec.parent / "hello.py").write_text("print('hello')\n")
    world.realise()
    assert not ran.exists(), ran.read_text()
    check_intact(world.root)


def test_a_hostile_wheel_fails_one_realise_and_leaves_nothing(world: World) -> None:
    offer(world, {"ns/app.py": ""}, {"../../evil": "ns.app:main"})
    error = world.json("realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index", code=11)["error"]
    assert "\n" not in error["message"]
    assert not list(world.folder.rglob("evil"))
    check_intact(world.root)
    check_nothing_left(world.root)
