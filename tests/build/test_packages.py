"""Installing wheels: what is in a layer depends on the wheels alone."""

import base64
import csv
import hashlib
import os
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from tests.build.layers import LAYOUT, PYTHON, SITE, Store, pin, tree
from vstore.build.packages import install
from vstore.build.scripts.posix import ShellLaunchers
from vstore.errors import BuildError, ToolError
from vstore.uv import Uv

FUTURE = (
    '#!python\n"""Says what it is."""\nfrom __future__ import annotations\nimport sys\nprint(__doc__, sys.argv[1:])\n'
)


def make_foo(folder: Path) -> Path:
    return make_wheel(
        folder,
        "foo",
        "1.0",
        {"foo/__init__.py": "def main():\n    print('foo')\n", "foo/__pycache__/__init__.cpython-311.pyc": "old"},
        entry_points={"foo": "foo:main"},
        data={"scripts/future": FUTURE, "scripts/shell": "#!/bin/sh\necho shell\n", "data/share/foo/a.txt": "a\n"},
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def put(store: Store, folder: str, *wheels: Path) -> Path:
    prefix = store.folder / folder
    store.install(prefix, [pin(wheel) for wheel in wheels])
    return prefix


def check_record(prefix: Path, info: str) -> set[str]:
    """The files of a distribution; each must be there with the hash and size that RECORD tells."""
    text = (prefix / SITE / info / "RECORD").read_text()
    rows = list(csv.reader(text.splitlines()))
    assert rows == sorted(rows)
    for path, digest, size in rows:
        data = (prefix / SITE / path).read_bytes()
        if path.endswith("/RECORD"):
            continue
        assert digest == "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        assert int(size) == len(data)
    return {os.path.normpath(os.path.join(SITE, row[0])) for row in rows}


def test_records_are_sorted_true_and_complete(store: Store, tmp_path: Path) -> None:
    prefix = put(store, "one", make_foo(tmp_path))
    listed = check_record(prefix, "foo-1.0.dist-info")
    assert listed == set(tree(prefix))
    assert {"bin/foo", "libexec/bin/foo", "bin/future", "libexec/bin/future", "bin/shell"} <= listed
    assert {os.path.basename(path) for path in listed if ".dist-info" in path} == {
        "RECORD", "METADATA", "WHEEL", "INSTALLER", "entry_points.txt",
    }  # fmt: skip


def test_nothing_tells_of_the_machine(store: Store, tmp_path: Path) -> None:
    for text in tree(put(store, "one", make_foo(tmp_path))).values():
        assert str(tmp_path) not in text
        assert str(PYTHON.parent) not in text


def test_two_installations_are_equal(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    foo, bar = make_foo(wheels), make_wheel(wheels, "bar", "1.0", {"bar.py": ""}, entry_points={"bar": "bar:main"})
    first, second = Store(tmp_path / "a place"), Store(tmp_path / ("long" * 40))
    os.utime(foo, (5, 5))
    one = put(first, "one", foo, bar)
    os.utime(foo, (9, 9))
    assert tree(one) == tree(put(second, "other", bar, foo))


def test_scripts_lose_the_long_form_of_the_first_line(tmp_path: Path) -> None:
    store = Store(tmp_path / "with a space")
    python = tmp_path / "with a space" / "python3"
    python.symlink_to(PYTHON)
    prefix = store.folder / "one"
    launchers = ShellLaunchers(layout=LAYOUT)
    wheels = [pin(make_foo(tmp_path))]
    install(store.uv, prefix, wheels, layout=LAYOUT, python=python, launchers=launchers)
    assert (prefix / "libexec/bin/future").read_text() == FUTURE


def test_files_written_here_are_not_shared_with_the_cache(store: Store, tmp_path: Path) -> None:
    wheel = make_foo(tmp_path)
    cached = {path: path.read_bytes() for path in (put(store, "one", wheel).parents[1] / "uv").rglob("*.dist-info/*")}
    prefix = put(store, "two", wheel)
    assert cached and all(path.read_bytes() == data for path, data in cached.items())
    for path in ("bin/foo", "bin/future", f"{SITE}/foo-1.0.dist-info/RECORD", f"{SITE}/foo-1.0.dist-info/INSTALLER"):
        assert (prefix / path).stat().st_nlink == 1, path
    assert (prefix / SITE / "foo/__init__.py").stat().st_nlink > 1


def test_a_file_of_two_wheels_is_the_last_ones_by_name(store: Store, tmp_path: Path) -> None:
    first = make_wheel(tmp_path, "aaa", "1", {"shared/x.py": "'a'\n", "shared/same.py": "", "aaa.py": ""})
    last = make_wheel(tmp_path, "zzz", "1", {"shared/x.py": "'z'\n", "shared/same.py": "", "zzz.py": ""})
    for number, wheels in enumerate([(first, last), (last, first)]):
        prefix = store.folder / str(number)
        (told,) = store.install(prefix, [pin(wheel) for wheel in wheels])
        assert told == (f"{SITE}/shared/x.py", "zzz", "aaa")
        assert (prefix / SITE / "shared/x.py").read_text() == "'z'\n"
        assert f"{SITE}/shared/x.py" not in check_record(prefix, "aaa-1.dist-info")
        assert {f"{SITE}/shared/x.py", f"{SITE}/shared/same.py"} <= check_record(prefix, "zzz-1.dist-info")


def test_files_that_record_forgot_are_added(store: Store, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo.py": ""})
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("foo_more.py", "more = 1\n")
    assert f"{SITE}/foo_more.py" in check_record(put(store, "one", wheel), "foo-1.0.dist-info")


@pytest.mark.parametrize(
    "place", ["bin/python3", "libexec/bin/x", "libexec/lib/x", "libexec/launch", "share/vstore/layer.json"]
)
def test_a_wheel_may_not_bring_what_is_the_layers(store: Store, tmp_path: Path, place: str) -> None:
    wheel = make_wheel(tmp_path, "bad", "1", {"bad.py": ""}, data={f"data/{place}": "home = /evil\n"})
    with pytest.raises((BuildError, ToolError), match=r"reserved for the layer|reserved name"):
        put(store, "one", wheel)
    assert tree(store.folder / "one") == {}


OWN = ("pyvenv.cfg", "pip.conf", "pip.ini", ".lock", *(f"bin/{name}" for name in LAYOUT.activation_scripts))


@pytest.mark.parametrize("recorded", [True, False])
def test_what_each_environment_has_of_its_own_is_left_out_and_told(
    store: Store, tmp_path: Path, recorded: bool
) -> None:
    """In data/ or scripts/, generated for an entry point, or not in RECORD; other wheels beside it."""
    data = {f"data/{place}": "bad\n" for place in OWN[:-1]} | {f"scripts/{OWN[-1].removeprefix('bin/')}": "bad\n"}
    bad = make_wheel(tmp_path, "bad", "1", {"bad.py": ""}, data=data if recorded else {})
    if not recorded:
        with zipfile.ZipFile(bad, "a") as archive:
            for name, text in data.items():
                archive.writestr(f"bad-1.data/{name}", text)
    good = make_wheel(tmp_path, "good", "1", {"good.py": ""}, data={"data/etc/pip.conf": "good\n"})
    point = make_wheel(tmp_path, "point", "1", {"point.py": ""}, entry_points={"activate": "point:main"})
    prefix = store.folder / "one"
    told = store.install(prefix, [pin(bad), pin(good), pin(point)])
    assert sorted(told) == sorted([*((place, "", "bad") for place in OWN), ("bin/activate", "", "point")])
    assert (prefix / "etc/pip.conf").read_text() == "good\n"
    assert not [path for path in tree(prefix) if path in OWN]
    for name in ("bad", "good", "point"):
        assert check_record(prefix, f"{name}-1.dist-info").isdisjoint(OWN)


@pytest.mark.parametrize("name", ["../up", "/abs", "a/b", ".."])
def test_entry_points_may_not_leave_bin(store: Store, tmp_path: Path, name: str) -> None:
    wheel = make_wheel(tmp_path, "bad", "1", {"bad.py": ""}, entry_points={name: "bad:main"})
    with pytest.raises((BuildError, ToolError)):
        put(store, "one", wheel)
    assert tree(store.folder / "one") == {}
    assert not list(tmp_path.rglob("up")) and not Path("/abs").exists()


def test_a_file_url_is_a_place_too(tmp_path: Path) -> None:
    store = Store(tmp_path / "a b%20c")
    wheel = make_foo(tmp_path / "a b%20c")
    store.install(store.folder / "one", [replace(pin(wheel), location=wheel.as_uri())])
    assert (store.folder / "one" / SITE / "foo/__init__.py").exists()


def test_a_wrong_hash_is_refused_and_the_place_of_the_wheel_told(store: Store, tmp_path: Path) -> None:
    calls: list[str] = []
    store.uv = replace(store.uv, on_call=calls.append)
    wheel = replace(pin(make_foo(tmp_path)), sha256="0" * 64)
    with pytest.raises(ToolError):
        store.install(store.folder / "one", [wheel])
    assert calls[0] == f"uv installs {wheel.location}"
    assert tree(store.folder / "one") == {}


def test_what_is_there_is_not_replaced(store: Store, tmp_path: Path) -> None:
    (store.folder / "one" / SITE).mkdir(parents=True)
    (store.folder / "one" / SITE / "foo").write_text("mine")
    with pytest.raises(BuildError, match="site-packages/foo"):
        put(store, "one", make_foo(tmp_path))
    assert (store.folder / "one" / SITE / "foo").read_text() == "mine"


def test_offline_without_the_wheel_says_so(tmp_path: Path) -> None:
    uv = Uv(cache_dir=tmp_path / "uv", offline=True)
    wheel = replace(pin(make_foo(tmp_path)), location="https://files.invalid/foo-1.0-py3-none-any.whl")
    with pytest.raises(ToolError, match=r"installing foo-1\.0"):
        Store(tmp_path / "store").install(tmp_path / "one", [wheel], uv=uv)


def test_another_umask_changes_nothing(store: Store, tmp_path: Path) -> None:
    expected = tree(put(store, "one", make_foo(tmp_path)))
    other = Store(tmp_path / "other")
    old = os.umask(0o077)
    try:
        assert tree(put(other, "one", make_foo(tmp_path))) == expected
    finally:
        os.umask(old)
    assert subprocess.run([store.folder / "one/bin/shell"], capture_output=True, text=True).stdout == "shell\n"
