"""Scripts find their layer whatever way leads to them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from tests.build.layers import LAYOUT, PYTHON, SITE, VERSION, Store
from vstore.build.links import Dependency
from vstore.build.scripts.entry_points import parse_entry_points, python_script
from vstore.build.scripts.posix import trampoline
from vstore.errors import BuildError

SHOW = """\
import sys
def main():
    sys.stdout.write(open("/proc/self/cmdline").read().replace("\\0", "\\n") if sys.platform == "linux" else "")
    print("prefix", sys.prefix)
    print("executable", sys.executable)
"""
WORKER = """\
#!python
'''Counts in a process that is spawned.'''
from __future__ import annotations
import multiprocessing, pickle, sys
class Item:
    pass
def work(number):
    return type(pickle.loads(pickle.dumps(Item()))).__name__, number + 1
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(*pool.apply(work, [1]), pickle.loads(pickle.dumps(Item())).__class__.__module__)
"""
SELF = """\
#!python
import os, sys
print(__name__, __doc__, *map(os.path.realpath, (__file__, sys.argv[0], sys.path[0])), *sys.argv[1:], sep="\\n")
print(*sorted(name for name in globals() if not name.startswith("__")))
"""
FUTURE = '#!python\n"""Says what it is."""\nfrom __future__ import annotations\nprint(__doc__)\n'
HELLO = "import sys, show\nprint('hello', sys.prefix, *sys.argv[1:])\n"

Stack = tuple[Store, Dependency, Dependency]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A framework with scripts and an application on it, below a folder with a space and an emoji."""
    folder = tmp_path_factory.mktemp("scripts") / "my wörk 🐍"
    store = Store(folder)
    wheel = make_wheel(
        folder,
        "show",
        "1",
        {"show.py": SHOW},
        entry_points={"show": "show:main"},
        data={
            "scripts/future": FUTURE,
            "scripts/tool": "#!/bin/sh\necho tool\n",
            "scripts/worker": WORKER,
            "scripts/self": SELF,
            "scripts/odd '' $(name) ö": SELF,
        },
    )
    low = store.layer("low", [wheel])
    app = store.layer("app", [], [low], {"hello.py": HELLO}, "hello")
    return store, low, app


def run(*command: str | Path, **options: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout  # type: ignore[call-overload, no-any-return]


def test_interpreter_runs_in_its_layer(stack: Stack) -> None:
    _, _, (_, app, _) = stack
    for name in ("python", "python3", "python" + VERSION.rpartition(".")[0]):
        code = "import sys, show; print(sys.prefix); print(sys.executable)"
        prefix, executable = run(app / "bin" / name, "-c", code).splitlines()
        assert prefix == str(app)
        assert Path(executable).parent == app / "libexec"


def test_scripts_of_lower_layers_run_in_this_layer(stack: Stack) -> None:
    _, (_, low, _), (_, app, _) = stack
    assert f"prefix {app}\n" in run(app / "bin/show")
    assert f"prefix {low}\n" in run(low / "bin/show")
    assert os.readlink(app / "libexec/bin/show") == f"../../../{low.name}/libexec/bin/show"
    assert run(app / "bin/tool") == "tool\n"
    assert (app / "bin/tool").is_symlink()


def test_arguments_of_the_process_show_the_real_path(stack: Stack, tmp_path: Path) -> None:
    _, _, (_, app, _) = stack
    (tmp_path / "profile").symlink_to(app)
    lines = run(tmp_path / "profile/bin/show").splitlines()
    assert lines[0].startswith(f"{app}/libexec/python")
    assert lines[1] == f"{app}/libexec/bin/show"
    assert f"executable {lines[0]}" in lines


@pytest.mark.parametrize("how", ["folder", "file", "chain", "relative", "working directory", "PATH", "dash"])
def test_reached_in_many_ways(stack: Stack, tmp_path: Path, how: str) -> None:
    _, _, (_, app, _) = stack
    (tmp_path / "profile").symlink_to(app)
    (tmp_path / "-d a").symlink_to("profile")
    (tmp_path / "link").symlink_to("profile/bin/show")
    (tmp_path / "chain").symlink_to(tmp_path / "link")
    output = {
        "folder": lambda: run(tmp_path / "profile/bin/show"),
        "file": lambda: run(tmp_path / "link"),
        "chain": lambda: run(tmp_path / "chain"),
        "relative": lambda: run("./profile/bin/show", cwd=tmp_path),
        "working directory": lambda: run("sh", "show", cwd=tmp_path / "profile/bin"),
        "PATH": lambda: run("env", f"PATH={tmp_path}/profile/bin:{os.environ['PATH']}", "show"),
        "dash": lambda: run("./-d a/bin/show", cwd=tmp_path),
    }[how]()
    assert f"prefix {app}\n" in output


@pytest.mark.parametrize("name", ["python", "show"])
def test_a_copy_says_in_one_line_that_a_link_is_needed(stack: Stack, tmp_path: Path, name: str) -> None:
    _, (_, low, _), _ = stack
    shutil.copy(low / "bin" / name, tmp_path)
    done = subprocess.run([tmp_path / name], capture_output=True, text=True)
    missing = tmp_path.parent.resolve() / "libexec" / LAYOUT.interpreter_name
    reason = "is missing: a program of a layer starts by its path or by a link, not as a copy"
    assert (done.returncode, done.stderr) == (127, f"{tmp_path / name}: {missing} {reason}\n")


def test_launch_starts_the_application(stack: Stack, tmp_path: Path) -> None:
    _, _, (_, app, _) = stack
    (tmp_path / "show.py").write_text("raise SystemExit('the working directory is not for import')")
    (tmp_path / "hello").symlink_to(app / "libexec/launch")
    assert run(tmp_path / "hello", "a b", "", "*", cwd=tmp_path) == f"hello {app} a b  *\n"


def test_launch_through_a_profile_and_its_stack(stack: Stack, tmp_path: Path) -> None:
    store, _, (store_path, app, _) = stack
    (store.folder / "a-stack/bin").mkdir(parents=True)
    (store.folder / "a-stack/bin/hello").symlink_to(f"../../{store_path}/libexec/launch")
    (tmp_path / "profile").symlink_to(store.folder / "a-stack")
    assert run(tmp_path / "profile/bin/hello", "x") == f"hello {app} x\n"
    assert run("profile/bin/hello", cwd=tmp_path) == f"hello {app}\n"


def test_exit_code_and_environment_pass_through(stack: Stack) -> None:
    _, _, (_, app, _) = stack
    code = "import os, sys; sys.exit(int(os.environ['WANTED']))"
    done = subprocess.run([app / "bin/python", "-c", code], env={"WANTED": "7"})
    assert done.returncode == 7


def test_variables_of_the_user_stay_as_they_are(stack: Stack, tmp_path: Path) -> None:
    _, _, (_, app, _) = stack
    (tmp_path / "link").symlink_to(app / "bin/python")
    given = {"self": "1", "target": "2", "layer": "3"}
    program = "import os; print(*(os.environ[name] for name in ('self', 'target', 'layer')))"
    done = subprocess.run([tmp_path / "link", "-c", program], env=os.environ | given, capture_output=True, text=True)
    assert done.stdout == "1 2 3\n"


def test_docstring_followed_by_future_import(stack: Stack) -> None:
    for _, folder, _ in stack[1:]:
        assert run(folder / "bin/future") == "Says what it is.\n"


WAYS = {
    "dash": ["dash"],
    "bash": ["bash"],
    "python": ["{python}"],
    "python -I": ["{python}", "-I"],
    "cProfile": ["{python}", "-m", "cProfile", "-o", os.devnull],
    "trace": ["{python}", "-m", "trace", "--count", "-C", "{scratch}"],
    "pdb": ["{python}", "-m", "pdb", "-c", "continue", "-c", "quit"],
    "runpy": ["{python}", "-c", "import runpy, sys; sys.argv.pop(0); runpy.run_path(sys.argv[0], None, '__main__')"],
}  # fmt: skip


def run_by(way: str, layer: Path, scratch: Path, *command: str | Path) -> str:
    """The output of a script of the layer that another program runs, from a folder of its own."""
    if shutil.which(way) is None and way in ("dash", "bash"):
        pytest.skip(f"no {way} here")
    words = [word.format(python=layer / "bin/python", scratch=scratch) for word in WAYS[way]]
    done = subprocess.run([*words, *command], cwd=scratch, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["self", "odd '' $(name) ö"])
def test_a_script_is_shell_and_python(stack: Stack, tmp_path: Path, way: str, name: str) -> None:
    _, (_, low, _), (_, app, _) = stack
    (tmp_path / "profile").symlink_to(app)
    output = run_by(way, app, tmp_path, tmp_path / "profile/bin" / name, "a b").splitlines()
    start = output.index("__main__")
    _, doc, file, argument, place, rest, names = output[start : start + 7]
    assert (doc, rest, names) == ("None", "a b", "os sys")
    assert file == argument == str(low / "libexec/bin" / name)  # which is where the layer's link leads
    if way in ("dash", "bash", "python", "cProfile", "pdb"):
        assert place == str(low / "libexec/bin")


@pytest.mark.parametrize("way", WAYS)
def test_an_application_is_shell_and_python(stack: Stack, tmp_path: Path, way: str) -> None:
    _, _, (_, app, _) = stack
    (tmp_path / "hello").symlink_to(app / "libexec/launch")
    assert f"hello {app} a b\n" in run_by(way, app, tmp_path, tmp_path / "hello", "a b")


@pytest.mark.parametrize("way", ["dash", "python", "runpy"])
def test_a_scripts_functions_reach_spawned_processes(stack: Stack, tmp_path: Path, way: str) -> None:
    _, _, (_, app, _) = stack
    assert run_by(way, app, tmp_path, app / "bin/worker") == "Item 2 __main__\n"


def test_a_docstring_and_a_future_import_by_python(stack: Stack, tmp_path: Path) -> None:
    _, _, (_, app, _) = stack
    assert run_by("python", app, tmp_path, app / "bin/future") == "Says what it is.\n"
    assert f"prefix {app}\n" in run_by("python", app, tmp_path, app / "bin/show")


def test_python_says_nothing_of_the_shells_lines(stack: Stack) -> None:
    for path in sorted((stack[2][1] / "bin").iterdir()):  # but for what shells source, such as activate
        if path.read_bytes().startswith(b"#!") and "python" not in path.name and path.name != "tool":
            done = subprocess.run([PYTHON, "-W", "error", "-m", "py_compile", path], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr


def test_pip_style_tools_see_the_lower_layers(stack: Stack) -> None:
    store, _, (_, app, _) = stack
    listing = store.uv.run(["pip", "list", "--python", str(app)])
    assert "show" in listing
    code = "import importlib.metadata as m; d = m.distribution('show')\n"
    code += "print(d.version, all(f.locate().exists() for f in d.files))"
    assert run(app / "bin/python", "-c", code) == "1 True\n"
    assert "compatible" in run_uv_check(store, app)


def run_uv_check(store: Store, layer: Path) -> str:
    from uv import find_uv_bin

    command = [find_uv_bin(), "pip", "check", "--python", str(layer)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_entry_points_become_code() -> None:
    found = parse_entry_points(
        "[console_scripts]\nA.b-c = pack.mod:Class.run [extra]\n[gui_scripts]\nwin=p:m\n[other]\nx = y\n"
    )
    assert set(found) == {"A.b-c", "win"}
    assert b"from pack.mod import Class\n" in found["A.b-c"].code
    assert b"sys.exit(Class.run())" in found["A.b-c"].code
    assert [found[name].window for name in ("A.b-c", "win")] == [False, True]


@pytest.mark.parametrize(
    "line",
    ["../x = a:b", "/x = a:b", "a/b = a:b", "a\\b = a:b", ".. = a:b", "x = a", "x = a:b; import os",
     "x = os:system('x')", "x = a:import", "x = a:\n y"],
)  # fmt: skip
def test_untrusted_entry_points_are_refused(line: str) -> None:
    with pytest.raises(BuildError):
        parse_entry_points(f"[console_scripts]\n{line}\n")


@pytest.mark.parametrize(
    "first",
    ["#!python", "#!pythonw", "#!/usr/bin/env python3", "#!/usr/bin/python3.11 -E", "#! /usr/bin/env -S python -u",
     "#!/bin/sh\n'''exec' '/a b/python3.11' \"$0\" \"$@\"\n' '''"],
)  # fmt: skip
def test_python_scripts_are_known_by_their_first_line(first: str) -> None:
    assert python_script(f"{first}\nprint()\n".encode()) == b"#!python\nprint()\n"


@pytest.mark.parametrize(
    "data", [b"\x7fELF", b"#!/bin/sh\necho python\n", b"#!/usr/bin/perl\n", b"", b"#!/opt/python/bin/ruby\n"]
)
def test_other_files_are_left_alone(data: bytes) -> None:
    assert python_script(data) is None


def test_names_with_special_characters_are_quoted() -> None:
    text = trampoline("libexec/python3.11", "$layer/libexec/bin/a'b c$(touch x)")
    assert """ "$_vstore_layer"/'libexec/bin/a'"'"'b c$(touch x)' "$@"\n""" in text
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_site_packages_has_no_code_of_scripts(stack: Stack) -> None:
    _, (_, low, _), _ = stack
    assert {path.name for path in (low / SITE).iterdir()} == {"show.py", "show-1.dist-info"}
