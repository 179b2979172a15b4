"""A managed build is taken by reading it: what is unsafe, of another version or for another machine is refused."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts.testing.mirror import ARM64, SERIES, VERSION, elf, list_mirror, mach_o, make_build, make_mirror
from vstore.build.interpreter.source import build_interpreter, choose_source
from vstore.build.interpreter.standalone import extract_interpreter
from vstore.build.layout import LayerLayout
from vstore.build.native.elf import read_elf
from vstore.errors import BuildError, ToolError
from vstore.fs.trees.scan import scan
from vstore.lock.model import InterpreterPin
from vstore.python_version import PythonRequirement, PythonVersion
from vstore.reporter import NullReporter
from vstore.target import Target
from vstore.uv import Uv

WINDOWS, MAC, LINUX = Target.WIN_AMD64, Target.MACOSX_ARM64, Target.LINUX_AARCH64
LIBPYTHON = f"lib/libpython{SERIES}.so.1.0"


def layout(target: Target, version: str = VERSION) -> LayerLayout:
    return LayerLayout(target=target, python=PythonVersion.parse(version))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


def test_a_mac_build_keeps_its_compiled_files_and_has_relative_texts(tmp_path: Path, tree: Path) -> None:
    sources = extract_interpreter(make_build(tmp_path, MAC), tree, layout(MAC))
    with tarfile.open(tmp_path / f"cpython-{VERSION}-macos-aarch64-none-install_only.tar.gz") as tar:
        for path in (f"bin/python{SERIES}", f"lib/libpython{SERIES}.dylib"):
            original = tar.extractfile(f"python/{path}")
            assert original is not None and (tree / path).read_bytes() == original.read()
    assert (tree / "bin/python3").readlink() == Path(f"python{SERIES}")
    assert "/install" not in (tree / f"lib/python{SERIES}/_sysconfigdata__x_.py").read_text()
    assert not (tree / f"lib/python{SERIES}/test").exists()
    assert [str(path) for path in sources] == sorted(str(path.relative_to(tree)) for path in tree.rglob("*.py"))


def test_taking_twice_gives_the_same(tmp_path: Path) -> None:
    archive = make_build(tmp_path, WINDOWS)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        extract_interpreter(archive, tmp_path / name, layout(WINDOWS))
    assert scan(tmp_path / "one").digest == scan(tmp_path / "two").digest


def test_a_build_of_another_version_is_refused(tmp_path: Path, tree: Path) -> None:
    with pytest.raises(BuildError, match=rf"is of CPython {VERSION}, not {SERIES}\.99"):
        extract_interpreter(make_build(tmp_path, WINDOWS), tree, layout(WINDOWS, f"{SERIES}.99"))


def test_a_build_for_another_machine_is_refused(tmp_path: Path, tree: Path) -> None:
    archive = make_build(tmp_path, LINUX, program=elf(62))
    with pytest.raises(BuildError, match=rf"bin/python{SERIES} .* is ELF for x86_64, not ELF for arm64"):
        extract_interpreter(archive, tree, layout(LINUX))


@pytest.mark.parametrize(
    ("target", "program"),
    [
        (MAC, mach_o(ARM64, f"/install/lib/libpython{SERIES}.dylib")),
        (LINUX, elf(183, f"libpython{SERIES}.so.1.0", "/install/lib")),
    ],
)
def test_a_build_that_cannot_be_moved_is_refused(tmp_path: Path, tree: Path, target: Target, program: bytes) -> None:
    archive = make_build(tmp_path, target, program=program, more={LIBPYTHON: elf(183)})
    with pytest.raises(BuildError, match="at a fixed path"):
        extract_interpreter(archive, tree, layout(target))


def test_a_run_path_beside_the_program_is_enough(tmp_path: Path, tree: Path) -> None:
    program = elf(183, f"libpython{SERIES}.so.1.0", "$ORIGIN/../lib")
    archive = make_build(tmp_path, LINUX, program=program, more={LIBPYTHON: elf(183)})
    extract_interpreter(archive, tree, layout(LINUX))
    assert (tree / LIBPYTHON).is_file()


STDLIB = f"lib/python{SERIES}"
MALFORMED: dict[str, dict[str, bytes]] = {
    "no Python": {f"{STDLIB}/_sysconfigdata_z.py": b"build_time_vars = {"},
    "Python without end": {f"{STDLIB}/_sysconfigdata_z.py": b"build_time_vars = " + b"(" * 100_000},
    "another value": {f"{STDLIB}/_sysconfigdata_z.py": b"build_time_vars = [1]"},
    "a call": {f"{STDLIB}/_sysconfigdata_z.py": b"build_time_vars = {'prefix': exit(1)}"},
    "no text": {f"{STDLIB}/_sysconfigdata_z.py": b"\xff\xfe"},
    "no JSON": {f"{STDLIB}/build-details.json": b"["},
    "JSON of something else": {f"{STDLIB}/build-details.json": b"[]"},
    "a folder for a text": {f"{STDLIB}/_sysconfigdata_z.py/x.py": b""},
    "a module that is no text": {f"{STDLIB}/venv/__init__.py": b"\xff\xfe"},
    "a text of 9 MiB": {f"{STDLIB}/large.py": bytes(9 << 20)},
}


@pytest.mark.parametrize("files", MALFORMED.values(), ids=MALFORMED)
def test_texts_that_are_malformed_are_an_error(tmp_path: Path, tree: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(BuildError, match="the managed build") as caught:
        extract_interpreter(make_build(tmp_path, LINUX, more=files), tree, layout(LINUX))
    assert "\n" not in caught.value.message


def test_a_library_that_needs_the_same_long_name_everywhere_is_none(tmp_path: Path) -> None:
    """64 Ki entries that all mean one text of 64 KiB would take 4 GiB."""
    file = tmp_path / "x.so"
    data = bytearray(elf(183, "a" * 60_000))
    dynamic = struct.pack("<qQ", 5, 0x200) + struct.pack("<qQ", 1, 1) * 60_000 + struct.pack("<qQ", 0, 0)
    described = struct.pack("<IIQQQQQQ", 2, 4, len(data), len(data), 0, len(dynamic), len(dynamic), 8)
    data[64 + 56 : 64 + 112] = described
    file.write_bytes(bytes(data) + dynamic)
    assert read_elf(file) is None
    few = struct.pack("<qQ", 5, 0x200) + struct.pack("<qQ", 1, 1) * 10 + struct.pack("<qQ", 0, 0)
    file.write_bytes(bytes(data) + few.ljust(len(dynamic), b"\0"))
    found = read_elf(file)
    assert found is not None and found.needed == ("a" * 60_000,) * 10


@pytest.mark.parametrize(
    ("path", "lead"),
    [
        (f"lib/python{SERIES}/x", "/etc/passwd"),
        (f"lib/python{SERIES}/x", "../../../../x"),
        (f"lib/python{SERIES}/x", "a/../../../../x"),
        (f"lib/python{SERIES}/../../../x", "y"),
    ],
)
def test_links_and_paths_that_leave_are_refused(tmp_path: Path, tree: Path, path: str, lead: str) -> None:
    with pytest.raises(BuildError, match="refused"):
        extract_interpreter(make_build(tmp_path, LINUX, links={path: lead}), tree, layout(LINUX))
    assert sorted(one.name for one in tmp_path.iterdir() if one.suffix != ".gz") == ["tree"]


def test_a_file_behind_a_link_of_the_archive_is_refused(tmp_path: Path, tree: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = tmp_path / "evil.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo(f"python/lib/python{SERIES}/up")
        link.type, link.linkname = tarfile.SYMTYPE, "../../.."
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo(f"python/lib/python{SERIES}/up/outside/x.py"))
    with pytest.raises(BuildError):
        extract_interpreter(archive, tree, layout(LINUX))
    assert list(outside.iterdir()) == []


LIB = f"lib/python{SERIES}"


def member(path: str, kind: bytes = tarfile.REGTYPE, lead: str = "", **fields: object) -> tarfile.TarInfo:
    found = tarfile.TarInfo(f"python/{path}")
    found.type, found.linkname = kind, lead
    for name, value in fields.items():
        setattr(found, name, value)
    return found


SYM, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
HOSTILE = {
    "through a link": [member(f"{LIB}/foo", SYM, "../.."), member(f"{LIB}/foo/evil.py")],
    "a link through a link": [
        member(f"{LIB}/a", SYM, "../.."),
        member(f"{LIB}/a/b", SYM, ".."),
        member(f"{LIB}/a/b/evil.py"),
    ],
    "a link whose folder is a link": [
        member(f"{LIB}/a", SYM, ".."),
        member(f"{LIB}/a/b/c/d", SYM, "../../../../../outside"),
    ],
    "a link below a link that comes later": [
        member(f"{LIB}/a/b/c", SYM, "../../../../../../outside"),
        member(f"{LIB}/a", SYM, "../.."),
    ],
    "a link to another object": [member(f"{LIB}/a", SYM, f"../../../{'0' * 32}-other/x")],
    "a hard link to nothing": [member(f"{LIB}/a.py", HARD, f"python/{LIB}/none.py")],
    "a hard link to itself": [member(f"{LIB}/a.py", HARD, f"python/{LIB}/a.py")],
    "a hard link to a link": [member(f"{LIB}/a.py", SYM, "b.py"), member(f"{LIB}/c.py", HARD, f"python/{LIB}/a.py")],
    "a hard link outside": [member(f"{LIB}/a.py", HARD, "../../outside/mine")],
    "a file twice": [member(f"{LIB}/a.py"), member(f"{LIB}/a.py")],
    "a file and a folder": [member(f"{LIB}/a"), member(f"{LIB}/a/b.py")],
    "a pipe": [member(f"{LIB}/a.py", tarfile.FIFOTYPE)],
    "a device": [member(f"{LIB}/a.py", tarfile.CHRTYPE)],
    "a sparse file": [member(f"{LIB}/a.py", tarfile.GNUTYPE_SPARSE, size=512)],
    "a sparse file that is not wanted": [member("x", tarfile.GNUTYPE_SPARSE, size=512)],
    "a size below nothing": [member(f"{LIB}/a.py", size=-512)],
    "more than a file may hold": [member(f"{LIB}/a.py", size=2 << 30)],
    "a header of a gigabyte": [member("x", tarfile.XHDTYPE, size=1 << 30)],
    "a name of a gigabyte": [member("x", tarfile.GNUTYPE_LONGNAME, size=1 << 30)],
    "headers without end": [member("x", tarfile.XHDTYPE)] * 5000,
    "a name that is too long": [member(f"{LIB}/{'a' * 300}.py")],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
def test_what_is_hostile_is_refused_and_writes_nothing_outside(
    tmp_path: Path, tree: Path, members: list[tarfile.TarInfo]
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "mine").write_bytes(b"mine")
    archive = tmp_path / "evil.tar.gz"
    with gzip.open(archive, "wb", compresslevel=1) as file:
        for one in members:
            file.write(one.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(1024))
    with pytest.raises(BuildError, match="cannot unpack the managed build"):
        extract_interpreter(archive, tree, layout(LINUX))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["evil.tar.gz", "outside", "tree"]
    assert [one.name for one in (tmp_path / "outside").iterdir()] == ["mine"]


_IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from vstore.build.layout import LayerLayout
from vstore.build.interpreter.standalone import extract_interpreter
from vstore.errors import BuildError
from vstore.python_version import PythonVersion
from vstore.target import Target
resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
try:
    python = PythonVersion.parse(sys.argv[3])
    layout = LayerLayout(target=Target.LINUX_AARCH64, python=python)
    extract_interpreter(Path(sys.argv[1]), Path(sys.argv[2]), layout)
except BuildError as error:
    print(error.message, error.details)
"""


def attributes(size: int) -> bytes:
    """A member of pax attributes of about so many bytes, before the member that they are of."""
    head = member("x", tarfile.XHDTYPE, size=size).tobuf()
    return head + b"".join(b"1024 c%05d=" % number + b"x" * 1011 + b"\n" for number in range(size // 1024))


HUGE = {
    "ten million members": (member("x").tobuf() * 10_000, 1000),
    "ten million wanted ones": (member(f"{LIB}/a", SYM, "b").tobuf() * 10_000, 1000),
    "attributes of attributes": (attributes(1 << 20), 400),
    "attributes of attributes, up to the limit": (attributes(60 << 10), 900),
    "a bomb of zeros": (bytes(16 << 20), 600),
    "a bomb in a file": (member("x", size=1 << 40).tobuf() + bytes(16 << 20), 600),
    "a bomb in a wanted file": (member(f"{LIB}/a.py", size=1 << 29).tobuf() + bytes(16 << 20), 33),
}


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize(("content", "times"), HUGE.values(), ids=HUGE)
def test_what_announces_much_is_refused_in_little_memory(
    tmp_path: Path, tree: Path, content: bytes, times: int
) -> None:
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(content, 1) * times)
    command = [sys.executable, "-c", _IN_LITTLE_MEMORY, str(tmp_path / "x.tar.gz"), str(tree), VERSION]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=120)
    assert "the managed build" in done.stdout and "MemoryError" not in done.stdout, done.stdout


UNSAFE = {
    "an absolute path": [member("x", name="/outside/evil.py")],
    "up and out": [member("../../../outside/evil.py")],
    "a NUL in a name": [member(f"{LIB}/a.py", pax_headers={"path": f"python/{LIB}/a\0b.py"})],
    "a name in other letters too": [member(f"{LIB}/a.py"), member(f"{LIB}/A.py")],
    "set-user-id": [member(f"{LIB}/a.py", mode=0o6777)],
    **{
        name: HOSTILE[name] for name in ("through a link", "a hard link outside", "a device", "a pipe", "a sparse file")
    },
}


@pytest.mark.parametrize("members", UNSAFE.values(), ids=UNSAFE)
def test_a_hostile_build_in_a_list_of_downloads_is_an_error(
    tmp_path: Path, tree: Path, members: list[tarfile.TarInfo]
) -> None:
    """Its digest is the listed one. First uv unpacks it, then vstore; neither writes anything outside."""
    mirror, outside = tmp_path / "mirror", tmp_path / "outside"
    for folder in (mirror, outside):
        folder.mkdir()
    (outside / "mine").write_bytes(b"mine")
    with gzip.open(make_build(mirror, LINUX, left_out=[f"bin/python{SERIES}"]), "wb", compresslevel=1) as file:
        for one in members:
            file.write(one.tobuf(tarfile.PAX_FORMAT if one.pax_headers else tarfile.GNU_FORMAT))
        file.write(bytes(1024))
    listing = list_mirror(mirror, [LINUX], mirror.as_uri())
    uv = Uv(cache_dir=tmp_path / "uv", environment={"UV_PYTHON_DOWNLOADS_JSON_URL": str(listing)})
    source = choose_source(PythonRequirement.parse(f"cpython@{SERIES}"), pin=None, uv=uv, target=LINUX)
    assert source.pin.downloads[LINUX].sha256
    with pytest.raises((BuildError, ToolError)) as caught:
        build_interpreter(source, tree, uv=uv, reporter=NullReporter(), jobs=1, compiler=Path(sys.executable))
    assert "\n" not in caught.value.message
    assert [one.name for one in outside.iterdir()] == ["mine"] and not Path("/outside").exists()
    assert not any(one.stat().st_mode & 0o6000 for one in tree.rglob("*") if one.is_file())


def test_a_hard_link_is_a_copy_of_the_file_before_it(tmp_path: Path, tree: Path) -> None:
    archive = tmp_path / "good.tar"
    first = member(f"{LIB}/a.py", size=3)
    with archive.open("wb") as file:
        file.write(first.tobuf() + b"abc".ljust(512, b"\0") + member(f"{LIB}/b.py", HARD, first.name).tobuf())
        file.write(bytes(1024))
    with pytest.raises(BuildError, match="of CPython an unknown version"):  # it is no whole interpreter
        extract_interpreter(archive, tree, layout(LINUX))
    assert (tree / LIB / "b.py").read_bytes() == b"abc"


@pytest.mark.parametrize("part", range(1, 8))
def test_a_damaged_archive_is_an_error(tmp_path: Path, tree: Path, part: int) -> None:
    archive = make_build(tmp_path, LINUX)
    data = archive.read_bytes()
    at = len(data) * part // 8
    archive.write_bytes(data[:at] + b"\xff" * 2000 + data[at + 2000 :])
    with pytest.raises(BuildError, match="cannot unpack the managed build"):
        extract_interpreter(archive, tree, layout(LINUX))


def test_what_is_no_archive_is_an_error(tmp_path: Path, tree: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"not found")
    with pytest.raises(BuildError, match=r"cannot unpack the managed build: x\.tar\.gz"):
        extract_interpreter(tmp_path / "x.tar.gz", tree, layout(LINUX))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_from_a_server_on_the_loopback(tmp_path: Path, tree: Path) -> None:
    """Pinned by URL and sha256 for each target; another hash is refused."""
    mirror = tmp_path / "mirror"
    make_mirror(mirror, [WINDOWS, MAC])
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=mirror)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            base = f"http://127.0.0.1:{server.server_port}"
            listing = list_mirror(mirror, [WINDOWS, MAC], base)
            uv = Uv(cache_dir=tmp_path / "uv", environment={"UV_PYTHON_DOWNLOADS_JSON_URL": f"{base}/{listing.name}"})
            source = choose_source(PythonRequirement.parse(f"cpython@{SERIES}"), pin=None, uv=uv, target=WINDOWS)
            assert sorted(source.pin.downloads) == [MAC, WINDOWS]
            assert source.pin.downloads[WINDOWS].url.startswith(base) and source.pin.downloads[WINDOWS].sha256
            plain = Uv(cache_dir=tmp_path / "uv", environment={})
            compiler = Path(sys.executable)
            build_interpreter(source, tree, uv=plain, reporter=NullReporter(), jobs=2, compiler=compiler)
            assert (tree / "python.exe").is_file()
            make_build(mirror, WINDOWS, more={"Lib/more.py": b""})
            (tmp_path / "again").mkdir()
            with pytest.raises(ToolError, match=f"downloading CPython {VERSION}"):
                build_interpreter(
                    source, tmp_path / "again", uv=plain, reporter=NullReporter(), jobs=2, compiler=compiler
                )
        finally:
            server.shutdown()


def test_a_lock_without_a_build_for_the_target_says_what_to_do() -> None:
    pin = InterpreterPin(implementation="cpython", version=VERSION, source="adopted")
    with pytest.raises(BuildError, match=f"no managed build of CPython {VERSION} for win_amd64") as caught:
        choose_source(
            PythonRequirement.parse(f"cpython@{SERIES}"), pin=pin, uv=Uv(cache_dir=Path("unused")), target=WINDOWS
        )
    assert "lock --upgrade" in (caught.value.hint or "")
