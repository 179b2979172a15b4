"""A Windows layer, looked at from here: its tree, its scripts, and CPython's own search for its library."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts.testing.mirror import SERIES, VERSION
from scripts.testing.platforms import DIGITS, Realised
from tests.platforms.getpath import ROOT, windows_paths
from vstore.build.layout import LayerLayout
from vstore.build.record_file import read_record_file
from vstore.build.scripts.windows import BatchLaunchers, find_launchers
from vstore.fs.trees.scan import scan
from vstore.python_version import PythonVersion
from vstore.target import Target

LAYOUT = LayerLayout(target=Target.WIN_AMD64, python=PythonVersion.parse(VERSION))


@pytest.fixture
def layers(realised: Realised) -> dict[str, Path]:
    world, documents = realised
    return world.layers(documents[Target.WIN_AMD64])


def test_the_folders_are_those_of_windows(layers: dict[str, Path]) -> None:
    for name in ("python", "framework-fast", "app-hello"):
        layer = layers[name]
        assert {"DLLs", "Lib", "Scripts", "pyvenv.cfg", "share", "tcl"} <= set(os.listdir(layer))
        assert not (layer / "bin").exists() and not (layer / "lib").exists()
        assert os.readlink(layer / "Scripts/python.exe").endswith(f"-cpython-{VERSION}/python.exe")
        assert (layer / f"Scripts/python{DIGITS}.dll").is_symlink() and (layer / "DLLs/_ssl.pyd").is_file()
        assert (layer / "Lib/os.py").is_symlink() and (layer / "Lib/encodings").is_symlink()
        assert not (layer / "Lib/site-packages").is_symlink()
        assert (layer / "pyvenv.cfg").read_text() == f"include-system-site-packages = false\nversion = {VERSION}\n"


def test_the_interpreter_is_taken_without_what_is_left_out(layers: dict[str, Path]) -> None:
    interpreter = layers[f"cpython-{VERSION}"]
    assert list((interpreter / "Lib/site-packages").iterdir()) == []
    assert not (interpreter / "Lib/test").exists()
    assert (interpreter / f"Lib/__pycache__/os.cpython-{DIGITS}.pyc").is_file()


def test_records_tell_where_the_files_are(layers: dict[str, Path]) -> None:
    layer = layers["framework-fast"]
    paths = set(read_record_file(layer, "Lib/site-packages/fast-1.0.dist-info"))
    assert {"Scripts/plain", "share/fast/x.txt", f"include/site/python{SERIES}/fast/fast.h"} <= paths
    assert all((layer / path).is_file() for path in paths)


def unpacked(launcher: Path) -> tuple[str, str]:
    """The ``#!`` line and the code of a launcher."""
    data = launcher.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        code = archive.read("__main__.py").decode()
        start = min(info.header_offset for info in archive.infolist())
    assert data.startswith(b"MZ")
    return data[:start].rpartition(b"#!")[2].decode(), code


def test_scripts_are_launchers_without_an_absolute_path(layers: dict[str, Path]) -> None:
    line, code = unpacked(layers["python"] / "Scripts/low.exe")
    assert line == "<launcher_dir>\\python.exe\r\n" and "from low import main" in code
    assert unpacked(layers["app-hello"] / "Scripts/tool.exe")[1].endswith("1\n")
    assert not (layers["app-hello"] / "Scripts/tool.py").exists()


def test_scripts_of_lower_layers_are_the_same_files_and_not_links(layers: dict[str, Path]) -> None:
    above, below = (layers[name] / "Scripts/low.exe" for name in ("app-hello", "python"))
    assert above.read_bytes() == below.read_bytes() and not above.is_symlink()
    assert (layers["app-hello"] / "Scripts/plain").is_symlink()


def test_a_launcher_runs_its_code_as_windows_would(layers: dict[str, Path]) -> None:
    """The launcher hands its own file to Python, which runs the zip in it."""
    launch = layers["app-hello"] / "libexec/launch.exe"
    line, code = unpacked(launch)
    assert line == "<launcher_dir>\\..\\Scripts\\python.exe\r\n"
    environment = {"PYTHONPATH": str(layers["app-hello"] / "Lib/site-packages")}
    done = subprocess.run([sys.executable, launch], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "win_amd64\n", code


def test_the_stack_starts_the_application_through_its_layer(realised: Realised) -> None:
    world, documents = realised
    stack = world.root / "store" / documents[Target.WIN_AMD64]["stack"]
    assert os.listdir(stack / "bin") == ["hello.cmd"]
    text = (stack / "bin/hello.cmd").read_bytes()
    assert text == b'@"%~dp0..\\layers\\app-hello\\libexec\\launch.exe" %*\r\n'
    path = text.decode().split('"')[1].removeprefix("%~dp0").replace("\\", "/")
    assert (stack / "bin" / path).is_file()


def test_executable_is_what_its_name_says(layers: dict[str, Path]) -> None:
    """Windows knows no executable bit: a layer made there must have the same digest."""
    for path in (path for name in layers for path in layers[name].rglob("*") if path.is_file()):
        if not path.is_symlink():
            expected = path.suffix.lower() in (".exe", ".cmd", ".bat", ".com")
            assert bool(path.stat().st_mode & 0o100) == expected, path


def test_without_launchers_in_the_interpreter_scripts_are_batch_files(tmp_path: Path) -> None:
    launchers = find_launchers(tmp_path, LAYOUT)
    assert isinstance(launchers, BatchLaunchers)
    assert launchers.script("a%b.py", b"") == (
        "Scripts/a%b.cmd",
        b'@"%~dp0python.exe" "%~dp0..\\libexec\\bin\\a%%b" %*\r\n',
    )
    assert launchers.application("app")[0] == "libexec/launch.cmd"


def other_pythons() -> list[Path]:
    versions = Path(os.environ.get("PYENV_ROOT", "/opt/python"), "versions")
    found = sorted(versions.glob("3.1[1-9]*/bin/python3")) if os.access(versions, os.R_OK | os.X_OK) else []
    return [Path(sys.executable), *found]


@pytest.mark.parametrize("python", other_pythons(), ids=str)
def test_cpython_finds_its_library_in_the_layer(layers: dict[str, Path], python: Path) -> None:
    found = windows_paths(python, layers["app-hello"], "Scripts/python.exe")
    if not found:
        pytest.skip("this interpreter's rules are not to be found in its binary")
    assert found["prefix"] == ROOT
    paths = {path.lower() for path in found["module_search_paths"]}
    assert {f"{ROOT}\\dlls".lower(), f"{ROOT}\\lib".lower()} <= paths
    assert not found["safe_path"]


def test_embedders_find_the_program_and_the_packages(layers: dict[str, Path]) -> None:
    layer = layers["app-hello"]
    told = json.loads((layer / "share/venv/metadata/venvstacks_layer.json").read_bytes())
    assert told["python"] == "Scripts/python.exe" and told["launch_module"] == "hello" and told["py_version"] == VERSION
    for path in (told["python"], told["base_python"], told["site_dir"]):
        assert (layer / path).exists()
    assert os.path.normpath(layer / told["base_python"]) == str(layers[f"cpython-{VERSION}"] / "python.exe")


def test_every_link_is_relative_and_leads_somewhere(layers: dict[str, Path]) -> None:
    for layer in layers.values():
        scan(layer)
        for path in layer.rglob("*"):
            assert not path.is_symlink() or path.exists(), path


def test_a_link_to_the_program_alone_would_not_do(tmp_path: Path) -> None:
    """Why the layer has links to the whole library: elsewhere one link is enough."""
    (tmp_path / "Scripts").mkdir()
    (tmp_path / "Scripts/python.exe").touch()
    (tmp_path / "pyvenv.cfg").write_text("include-system-site-packages = false\n")
    found = windows_paths(Path(sys.executable), tmp_path, "Scripts/python.exe")
    assert not found or found["prefix"] != ROOT
