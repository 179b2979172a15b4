import importlib.util
import marshal
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from types import CodeType

import pytest

from vstore.build.bytecode import compile_tree, reuse_bytecode
from vstore.build.interpreter.local import LocalPython, find_local
from vstore.errors import BuildError
from vstore.python_version import PythonRequirement

SERIES = ("3.8", "3.11", "3.12", "3.13")


def local(series: str) -> LocalPython:
    found = find_local(os.environ, PythonRequirement("cpython", series))
    if not found:
        pytest.skip(f"no CPython {series} here")
    return found[0]


def own() -> Path:
    return Path(sys.executable)


def write(layer: Path, files: dict[str, bytes]) -> list[PurePosixPath]:
    for name, data in files.items():
        (layer / name).parent.mkdir(parents=True, exist_ok=True)
        (layer / name).write_bytes(data)
    return [PurePosixPath(name) for name in files]


def bytecode(layer: Path) -> dict[str, bytes]:
    return {str(path.relative_to(layer)): path.read_bytes() for path in layer.rglob("*.pyc")}


def pyc(layer: Path, source: str) -> Path:
    return layer / importlib.util.cache_from_source(source)


def load(layer: Path, source: str) -> CodeType:
    code = marshal.loads(pyc(layer, source).read_bytes()[16:])
    assert isinstance(code, CodeType)
    return code


@pytest.mark.parametrize("series", SERIES)
def test_same_bytes_in_any_order_with_any_jobs(series: str, tmp_path: Path) -> None:
    python = local(series)
    files = sorted(python.stdlib.glob("*.py"))[:110] + sorted(python.stdlib.glob("*io/*.py"))
    names = [path.relative_to(python.stdlib) for path in files]
    results = []
    for number, jobs in enumerate((1, 2)):
        layer = tmp_path / str(number)
        for name in names:
            (layer / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(python.stdlib / name, layer / name)
        sources = [PurePosixPath(name) for name in names]
        random.Random(number).shuffle(sources)
        if number:  # one file a chunk, in another order: what a process has seen before differs
            for part in (sources[:40], sources[40:41], sources[41:]):
                compile_tree(python.executable, layer, part, jobs)
        else:
            compile_tree(python.executable, layer, sources, jobs)
        results.append(bytecode(layer))
    assert len(results[0]) == len(names) > 100
    different = [name for name in results[0] if len({result[name] for result in results}) > 1]
    assert different == []


@pytest.mark.parametrize("series", SERIES)
def test_sets_that_hold_none_are_written_in_one_order(series: str, tmp_path: Path) -> None:
    python = local(series)
    text = b"def f(x):\n    return x in {None, 'a', 'b', 1.5, ..., ('t', None), b'z'}\nB = 'x'\n"
    seen: set[bytes] = set()
    for number in range(4):  # None lies elsewhere in each process
        sources = write(tmp_path / str(number), {"m.py": text})
        compile_tree(python.executable, tmp_path / str(number), sources, 1)
        seen.update(bytecode(tmp_path / str(number)).values())
    assert len(seen) == 1
    probe = "import sys; sys.path.insert(0, '.'); import m; print(m.f(None), m.f(1.5), m.f(('t', None)), m.f(2))"
    (tmp_path / "0" / "m.py").write_bytes(b"raise SystemExit('compiled anew')")
    done = subprocess.run([python.executable, "-c", probe], cwd=tmp_path / "0", capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True", "True", "False"], done.stderr


@pytest.mark.parametrize("series", SERIES)
def test_what_was_compiled_before_leaves_no_trace(series: str, tmp_path: Path) -> None:
    python = local(series)
    text = b"def f(x):\n    return x in {'426', '225'}\ndef g(x):\n    return x in {'426', '225'}\nC = '\xc3\xb6'\n"
    alone = tmp_path / "alone"
    compile_tree(python.executable, alone, write(alone, {"m.py": text}), 1)
    after = tmp_path / "after"
    before = b"A = '426', '225', 'f', 'x'\n\xc3\xb6 = 1\n" + b"#" * 200  # bigger, so compiled first
    compile_tree(python.executable, after, write(after, {"m.py": text, "n.py": before}), 1)
    name = pyc(alone, "m.py").name.replace(sys.implementation.cache_tag, f"cpython-{series.replace('.', '')}")
    assert bytecode(after)[f"__pycache__/{name}"] == bytecode(alone)[f"__pycache__/{name}"]


@pytest.mark.parametrize("series", SERIES)
def test_names_alive_in_the_process_leave_no_trace(series: str, tmp_path: Path) -> None:
    python = local(series)
    sources = write(tmp_path / "bare", {"m.py": b"def unusual_name(): other_name = 'third_name'; return other_name\n"})
    write(tmp_path / "full", {"m.py": (tmp_path / "bare/m.py").read_bytes()})
    crowded = tmp_path / "python"  # an interpreter in which somebody else uses the same names
    program = (
        "import runpy, sys; keep = [sys.intern(x) for x in sys.argv[2:]]; runpy.run_path(sys.argv[1], None, '__main__')"
    )
    names = "unusual_name other_name third_name"
    crowded.write_text(f'#!/bin/sh\nexec {python.executable} -S -s -c "{program}" $3 {names}\n')
    crowded.chmod(0o755)
    compile_tree(python.executable, tmp_path / "bare", sources, 1)
    compile_tree(crowded, tmp_path / "full", sources, 1)
    assert bytecode(tmp_path / "bare") == bytecode(tmp_path / "full") != {}


def test_code_names_the_file_within_the_layer(tmp_path: Path) -> None:
    sources = write(tmp_path, {"lib/p/m.py": b"def f(): pass\n"})
    assert compile_tree(own(), tmp_path, sources, 2) == 1
    code = load(tmp_path, "lib/p/m.py")
    assert code.co_filename == "lib/p/m.py"
    assert os.fsencode(tmp_path) not in pyc(tmp_path, "lib/p/m.py").read_bytes()


def test_bytecode_is_by_hash_and_not_checked(tmp_path: Path) -> None:
    text = b"x = 1\n"
    compile_tree(own(), tmp_path, write(tmp_path, {"m.py": text}), 1)
    header = pyc(tmp_path, "m.py").read_bytes()[:16]
    assert header == importlib.util.MAGIC_NUMBER + b"\1\0\0\0" + importlib.util.source_hash(text)


def test_what_is_not_python_gets_no_bytecode(tmp_path: Path) -> None:
    files = {
        "old.py": b"print 'two'\n",
        "null.py": b"x = '\0'\n",
        "badly_coded.py": b"# coding: utf-8\nx = '\xff'\n",
        "no_such_coding.py": b"# coding: nonsense\n",
        "deep.py": b"x = " + b"(" * 5000 + b")" * 5000,
        "signs.py": b"-" * 100_000 + b"1",
        "words.py": b"not " * 100_000 + b"1",
        "functions.py": b"lambda: " * 100_000 + b"1",
        "attributes.py": b"a" + b".a" * 100_000,
        "sums.py": b"+".join([b"1"] * 100_000),
        "good.py": b"x = 1\n",
    }
    assert compile_tree(own(), tmp_path, write(tmp_path, files), 2) == 1
    assert list(bytecode(tmp_path)) == [str(pyc(tmp_path, "good.py").relative_to(tmp_path))]


def test_encodings_are_obeyed(tmp_path: Path) -> None:
    files = {
        "bom.py": b"\xef\xbb\xbfx = '\xc3\xa4'\n",
        "latin.py": b"# -*- coding: latin-1 -*-\nx = '\xe4'\n",
        "empty.py": b"",
        "name with blank.py": b"x = '\xc3\xa4'\n",
    }
    assert compile_tree(own(), tmp_path, write(tmp_path, files), 1) == 4
    for name in ("bom.py", "latin.py", "name with blank.py"):
        assert "ä" in load(tmp_path, name).co_consts


def test_bytecode_that_is_a_link_to_elsewhere_is_replaced_not_written_through(tmp_path: Path) -> None:
    sources = write(tmp_path / "layer", {"m.py": b"x = 1\n"})
    outside = tmp_path / "cached.pyc"
    outside.write_bytes(b"from a wheel")
    target = pyc(tmp_path / "layer", "m.py")
    target.parent.mkdir()
    os.link(outside, target)
    compile_tree(own(), tmp_path / "layer", sources, 1)
    assert outside.read_bytes() == b"from a wheel"
    assert target.read_bytes()[:4] == importlib.util.MAGIC_NUMBER


def test_a_file_that_is_missing_on_the_way_is_an_error(tmp_path: Path) -> None:
    sources = write(tmp_path, {"a.py": b"x = 1\n"})
    (tmp_path / "__pycache__").write_bytes(b"in the way")
    with pytest.raises(BuildError, match="cannot compile: "):
        compile_tree(own(), tmp_path, sources, 1)


def test_an_interpreter_that_dies_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\necho 'cannot go on' >&2\nexit 3\n")
    dying.chmod(0o755)
    with pytest.raises(BuildError, match=r"died while compiling m\.py: exit code 3") as caught:
        compile_tree(dying, tmp_path, write(tmp_path, {"m.py": b""}), 1)
    assert caught.value.details == ("cannot go on",)
    with pytest.raises(BuildError, match="cannot start"):
        compile_tree(tmp_path / "nobody", tmp_path, [PurePosixPath("m.py")], 2)


def test_the_donor_s_bytecode_is_linked_where_the_source_is_the_same(tmp_path: Path) -> None:
    donor, layer = tmp_path / "donor", tmp_path / "layer"
    text = {"lib/p/a.py": b"x = 1\n", "lib/p/b.py": b"x = 2\n", "lib/p/old.py": b"print 1\n", "top.py": b"x = 4\n"}
    compile_tree(own(), donor, write(donor, text), 1)
    sources = write(layer, {**text, "lib/p/b.py": b"x = 3\n", "lib/p/new.py": b"x = 5\n"})
    (layer / "lib/p/a.py").unlink()
    os.link(donor / "lib/p/a.py", layer / "lib/p/a.py")
    remaining = reuse_bytecode(donor, layer, sources)
    assert [str(path) for path in remaining] == ["lib/p/b.py", "lib/p/old.py", "lib/p/new.py"]
    for name in ("lib/p/a.py", "top.py"):
        assert os.path.samefile(pyc(donor, name), pyc(layer, name))
    assert not pyc(layer, "lib/p/b.py").exists()


def test_a_donor_without_bytecode_leaves_all(tmp_path: Path) -> None:
    sources = write(tmp_path / "layer", {"a.py": b""})
    write(tmp_path / "donor", {"a.py": b""})
    assert reuse_bytecode(tmp_path / "donor", tmp_path / "layer", sources) == sources
