"""Everything that reads bytes from outside, as one table: what it is given, and valid samples to be spoilt.

Each reader is called with bytes and a folder of its own. Whatever the bytes: it returns, or raises an error of vstore's
(one that a user is shown), soon; and it writes nothing but what it was told to, nothing at all after an error.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from blake3 import blake3

from vstore import archive
from vstore.archive import Compression, Limits
from vstore.archive.format import encode_index
from vstore.build.interpreter.managed import parse_downloads, parse_hashes
from vstore.build.interpreter.tarball import extract_files
from vstore.build.layer_metadata import read_metadata, write_metadata
from vstore.build.record_file import read_record_file
from vstore.build.scripts.entry_points import parse_entry_points
from vstore.cancel import CancelToken
from vstore.config import read_config
from vstore.digest import canonical_json, hash_bytes
from vstore.errors import ArchiveError, BuildError, LockError, StoreError, VstoreError
from vstore.fs import zstd
from vstore.fs.folder import Folder
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.fs.trees.scan import scan
from vstore.lock.lockfile import packages_digest, read_lock, write_lock
from vstore.lock.record import read_record as read_lock_record
from vstore.lock.record import record_text
from vstore.objects import StorePath
from vstore.profile import read_stack
from vstore.publish.bundle_transport import BundleReader, BundleWriter
from vstore.remote.records.encoding import (
    decode_channel,
    decode_delta,
    decode_object,
    decode_realisation,
    decode_sbom,
    encode,
)
from vstore.remote.records.model import Record
from vstore.remote.records.trust import SecretKey
from vstore.remote.sync.delta import apply_delta
from vstore.remote.sync.delta import read_patches as read_delta
from vstore.spec import load
from vstore.store.generation_records import read_generation_record, write_generation_record
from vstore.store.layout import StoreLayout
from vstore.store.manifests import object_info, read_manifest
from vstore.store.roots.notes import NO_NOTE, read_note, write_note

_GOLDEN = Path(__file__).parents[3] / "tests" / "remote" / "records" / "golden"
_RECORDS: Mapping[str, Callable[[bytes, str], Record]] = {
    "realisation": decode_realisation,
    "object": decode_object,
    "channel": decode_channel,
    "delta": decode_delta,
    "sbom": decode_sbom,
}
_LIMITS = Limits(index_bytes=1 << 20, ratio_free_bytes=1 << 20)
_MANIFEST_MAGIC = b"vstore-manifest-1\n"
_NAME = "0" * 32 + "-top"
_SPEC = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@3.11"
requirements = ["numpy>=1; sys_platform == 'linux'"]
platforms = ["linux_x86_64"]
[[frameworks]]
name = "mid"
runtime = "python"
requirements = ["b[extra]==1.0"]
dynlib_exclude = ["lib*.so"]
[[applications]]
name = "app"
frameworks = ["mid"]
launch_module = "main.py"
support_modules = ["help.py"]
requirements = []
[tool.vstore]
profile = "web"
[tool.uv]
exclude-newer = "2024-01-01T00:00:00Z"
"""
_LOCK = """\
lock-version = "1.0"
created-by = "vstore"
[[packages]]
name = "six"
version = "1.16.0"
marker = "sys_platform == 'linux'"
index = "https://index.example/simple"
[[packages.wheels]]
name = "six-1.16.0-py3-none-any.whl"
url = "https://files.example/six-1.16.0-py3-none-any.whl"
size = 11053
hashes = {sha256 = "8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254"}
[tool.vstore]
packages = "blake3:00"
inputs = {python = "3.11"}
[tool.vstore.interpreter]
implementation = "cpython"
version = "3.11.9"
source = "managed"
downloads = {linux_x86_64 = {url = "https://files.example/cpython.tar.gz", sha256 = "00"}}
"""
_CONFIG = b'[gc]\nkeep = 3\nolder_than = "30d"\nmax_size = "5G"\nmin_free = "1G"\nmax_free = "2G"\n[caches]\nteam = "file:///cache"\n'
_FACTS: dict[str, object] = {
    "name": "framework-mid",
    "kind": "framework",
    "python": "3.11.9",
    "distributions": [{"name": "six", "version": "1.0", "wheel": "six.whl", "owns": ["lib/python3.11/six.py"]}],
    "own": ["bin/python"],
    "launch_module": None,
    "target": "linux_x86_64",
}
_LAYER = {"name": "app-web", "kind": "application", "path": f"{'1' * 32}-app-web"}
_STACK: dict[str, object] = {"format": 1, "name": "web", "target": "linux_x86_64", "layers": [_LAYER]}
_GENERATION = {
    "path": f"{'1' * 32}-web-stack",
    "created_at": "2024-01-01T00:00:00+00:00",
    "spec_path": "/srv/spec.toml",
    "spec_digest": "00" * 32,
    "replaced_number": 2,
}
_PIN = {"note": "the demo", "expires_at": "2024-01-01T00:00:00+00:00"}
_LOCK_RECORD = {
    "lock_input_hash": "sha256:00",
    "requirements_hash": "sha256:00",
    "other_inputs_hash": "sha256:00",
    "version_inputs_hash": "sha256:00",
    "lock_version": 3,
    "locked_at": "2024-01-01T00:00:00+00:00",
}
_DOWNLOAD = {"name": "cpython", "url": "https://files.example/cpython.tar.gz", "sha256": "00" * 32, "build": None}
_VERSIONS = b"old line\n" * 200, b"old line\n" * 100 + b"a new line\n" + b"old line\n" * 120
_SIDE_FILE = b'[[index]]\nname = "own"\nurl = "https://index.example/simple"\n[sources]\nb = {index = "own"}\n'
_INFO = "lib/python3.11/site-packages/six-1.dist-info"
_RECORD = b"six.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n../../../bin/six,,\nsix-1.dist-info/RECORD,,\n"
_ENTRY_POINTS = b"[console_scripts]\nsix = six.tool:main\nother = six:a.b [extra]\n[gui_scripts]\nwin=six:gui\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """`read` takes bytes and a new, empty folder; `samples` are valid ones, `hostile` are not."""

    read: Callable[[bytes, Path], object]
    samples: Callable[[], list[bytes]]
    hostile: Callable[[], list[bytes]] = list


def try_reader(reader: Reader, data: bytes) -> bool:
    """Give it these bytes; True if it took them. AssertionError if it wrote outside, any odd error as it is."""
    with TemporaryDirectory(prefix="reader-") as name:
        outer = Path(name)
        (outer / "beside").write_bytes(b"mine")
        folder = outer / "own"
        folder.mkdir()
        try:
            reader.read(data, folder)
            taken, said = True, "taken"
        except VstoreError as refusal:
            taken, said = False, refusal.message
            assert not (folder / "unpacked").exists(), "something is left"
        assert said and "\n" not in said, f"not one line: {said!r}"
        assert sorted(os.listdir(outer)) == ["beside", "own"], f"wrote outside: {os.listdir(outer)}"
        assert (outer / "beside").read_bytes() == b"mine"
        _release(folder)
        return taken


def _release(folder: Path) -> None:
    for place, _, _ in os.walk(folder):
        os.chmod(place, 0o700)


def _put(data: bytes, place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


def _spec(data: bytes, folder: Path) -> object:
    for name in ("main.py", "help.py"):
        (folder / name).touch()
    return load(_put(data, folder / "spec.toml"))


def _lock(data: bytes, folder: Path) -> object:
    spec = _spec(_SPEC.encode(), folder)
    assert hasattr(spec, "layers")
    layer = spec.layers[1]
    _put(data, folder / "requirements" / layer.env_name / f"pylock.{layer.env_name}.toml")
    spec = load(folder / "spec.toml")
    found = read_lock(spec, layer)
    assert found is not None
    for package in found.packages:
        texts = (package.name, *(text for one in package.wheels for text in (one.filename, one.location, one.sha256)))
        assert all(isinstance(text, str) for text in texts), "values of other kinds than they say"
        assert all(one.size_bytes is None or one.size_bytes >= 0 for one in package.wheels)
    if found.inputs is not None:
        digest = packages_digest(found.packages)
        written = replace(found, packages_digest=digest, edited=False)
        write_lock(spec, layer, written)
        assert read_lock(spec, layer) == written, "it cannot be written again"
    return found


def _side_file(data: bytes, folder: Path) -> object:
    _put(data, folder / "venvstacks.uv.toml")
    return _spec(_SPEC.partition("[tool.vstore]")[0].encode(), folder)


def _generation(data: bytes, folder: Path) -> object:
    layout = StoreLayout(folder)
    _put(data, layout.generation_record("web", 3))
    found = read_generation_record(layout, "web", 3)
    if found is None:
        raise StoreError("no record")
    kinds = (found.spec_path, str | None), (found.replaced_number, int | None), (found.path, StorePath)
    assert all(isinstance(value, kind) for value, kind in kinds), "the index could not hold it"
    write_generation_record(layout, found)
    again = read_generation_record(layout, "web", 3)
    assert again == replace(found, created_at=found.created_at.replace(microsecond=0)), "it cannot be written again"
    return found


def _pin(data: bytes, folder: Path) -> object:
    _put(data, folder / ".demo.json")
    with Folder.open(folder) as opened:
        found = read_note(opened, "demo")
        if found == NO_NOTE:
            raise StoreError("nothing is said")
        write_note(opened, "again", found)
        assert read_note(opened, "again") == found, "it cannot be written again"
    assert found.expires_at is None or found.expires_at.tzinfo, "it could not be compared"
    return found


def _lock_record(data: bytes, folder: Path) -> object:
    found = read_lock_record(_put(data, folder / "pylock.meta.json"))
    if found is None:
        raise LockError("no record")
    again = read_lock_record(_put(record_text(found), folder / "again.meta.json"))
    assert again == found, "it cannot be written again"
    return found.locked_at.timestamp()


def _secret(data: bytes, folder: Path) -> object:
    found = SecretKey.read(_put(data, folder / "key"))
    again = SecretKey.read(_put(found.text().encode(), folder / "again"))
    assert again.public == found.public, "it cannot be written again"
    return found.public


def _bundle(data: bytes, folder: Path) -> object:
    with BundleReader(_put(data, folder / "bundle")) as bundle:
        for stat in bundle.scan(""):
            bundle.get(stat.key, limit=1 << 20)
        return bundle.tops


def _bundles() -> list[bytes]:
    file = io.BytesIO()
    writer = BundleWriter(file, [StorePath.parse(_NAME)], url="here")
    writer.put("objects/one.json", b"{}\n")
    writer.finish()
    return [file.getvalue()]


def _tree(data: bytes, _: Path) -> object:
    found = Manifest.decode(data)
    assert Manifest(found.entries).encoded == data, "a tree that can be written in two ways"
    return found


def _manifest_file(data: bytes, folder: Path) -> object:
    manifest, metadata = read_manifest(_put(data, folder / "manifest"))
    return object_info(StorePath.make(manifest.digest, "top"), manifest, metadata)


def _unpack(data: bytes, folder: Path) -> object:
    found = archive.unpack(_put(data, folder / "archive"), folder / "unpacked", limits=_LIMITS)
    assert scan(folder / "unpacked").digest == found.digest, "what is there is not what was told"
    return found


def _stack(data: bytes, folder: Path) -> object:
    found = read_stack(_put(data, folder / "stack.json").parent)
    assert found.encode() == data, "it cannot be written again"
    for layer in found.layers:
        assert (folder / layer.name).parent == folder, "it leads elsewhere"
    return found


def _facts(data: bytes, folder: Path) -> object:
    found = read_metadata(_put(data, folder / "share" / "vstore" / "layer.json").parents[2])
    write_metadata(folder, found)
    assert (folder / "share" / "vstore" / "layer.json").read_bytes() == data, "it cannot be written again"
    for owned in (
        found.layout.site_packages,
        *found.own_modules,
        *(path for one in found.distributions for path in one.owns),
    ):
        assert (folder / owned).resolve().is_relative_to(folder.resolve()), "it leads elsewhere"
    return found


def _delta(data: bytes, _: Path) -> object:
    found = read_delta(io.BytesIO(data))
    assert sum(one.patch_bytes for one in found) <= len(data), "patches of which there is nothing"
    return found


def _patch(data: bytes, folder: Path) -> object:
    """A delta whose only patch is this, applied as a fetch does."""
    old, new = _VERSIONS
    expected = Manifest((Entry(b"f", EntryKind.FILE, size=len(new), digest=blake3(new).digest()),))
    sizes = {"old_at": 0, "old_bytes": len(old), "size_bytes": len(new), "patch_bytes": len(data)}
    text = canonical_json([{"old": blake3(old).hexdigest(), "new": blake3(new).hexdigest(), **sizes}])
    delta = _put(b"vstore-delta-2\n" + len(text).to_bytes(4, "big") + text + data, folder / "delta")
    record = decode_delta((_GOLDEN / "delta.json").read_bytes(), "it")
    record = replace(record, sha256=sha256(delta.read_bytes()).hexdigest())
    source = _put(old, folder / "old")
    (made,) = apply_delta(delta, record, lambda _: source, expected, folder, CancelToken()).values()
    assert made.read_bytes() == new, "a wrong byte"
    return made


def _patches() -> list[bytes]:
    import hdiffpatch

    return [hdiffpatch.diff(*_VERSIONS, hdiffpatch.COMPRESSION_ZSTD), hdiffpatch.diff(*_VERSIONS)]


def _interpreter(data: bytes, folder: Path) -> object:
    """The archive of a managed build, all of it wanted; links in it lead to what is in it."""
    (folder / "tree").mkdir()
    extract_files(_put(data, folder / "x.tar"), folder / "tree", lambda _: True, lambda _, executable: executable)
    assert not any(path.is_fifo() or path.is_socket() for path in (folder / "tree").rglob("*"))
    return scan(folder / "tree")


def _interpreters() -> list[bytes]:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in (("bin/python3.11", b"\x7fELF"), ("lib/python3.11/os.py", b"import sys\n" * 60)):
            one = tarfile.TarInfo(f"python/{name}")
            one.size, one.mode = len(content), 0o755
            tar.addfile(one, io.BytesIO(content))
        one = tarfile.TarInfo("python/lib/" + "long" * 40)
        one.type, one.linkname = tarfile.LNKTYPE, "python/bin/python3.11"
        tar.addfile(one)
        one = tarfile.TarInfo("python/bin/python")
        one.type, one.linkname = tarfile.SYMTYPE, "python3.11"
        tar.addfile(one)
    return [file.getvalue(), gzip.compress(file.getvalue(), 1)]


def _downloads_list(data: bytes, _: Path) -> object:
    try:
        found = parse_downloads(data)
    except ValueError as error:
        raise BuildError(str(error).replace("\n", " ") or "no list") from error
    assert all(len(one) == 64 for one in found.values())
    return found


def _hashes(data: bytes, _: Path) -> object:
    found = parse_hashes(data.decode("utf-8", "replace"))
    assert all(len(one) == 64 and name.split() == [name] for name, one in found.items())
    if not found:
        raise BuildError("no hashes")
    return found


def _frame(data: bytes, _: Path) -> object:
    """A frame of an archive, and what is in it as a frame again."""
    try:
        content = b"".join(zstd.decompress_parts(data, at_most=1 << 20, part_bytes=4096))
    except ValueError as error:
        raise ArchiveError(str(error).replace("\n", " ")) from error
    assert len(content) <= 1 << 20 and zstd.decompress(zstd.compress(content), at_most=1 << 20) == content
    return content


def _index(content: bytes, folder: Path) -> object:
    """The sample archive with this index in it, told to be sound; what is read of it can be written again."""
    with_it = _with_index(content)
    with archive.FileReader(_put(with_it, folder / "read")) as reader:
        found = archive.read_index(reader, limits=_LIMITS)
    frames = [(one.size_bytes, one.content_bytes) for one in found.frames]
    again, _ = encode_index(found.name, found.manifest, frames, found.offsets, Limits(index_ratio=1 << 30))
    assert zstd.decompress(again[8:-64], at_most=1 << 20) == content, "it cannot be written again"
    return _unpack(with_it, folder)


def _with_index(content: bytes) -> bytes:
    sample = _archives()[0]
    stored_bytes = struct.unpack(">Q", sample[-32:-24])[0]
    stored = zstd.compress(content, 1)
    footer = hash_bytes("archive index 1", stored).raw
    footer += struct.pack(">QQ16s", len(stored), len(content), b"vstore-archive-1")
    head = struct.pack("<II", 0x184D2A56, len(stored) + len(footer))
    return sample[: -64 - stored_bytes - 8] + head + stored + footer


@cache
def _archives() -> list[bytes]:
    """Small archives of a tree with a bit of everything: zstd, xz, gzip."""
    found = []
    with TemporaryDirectory() as name:
        tree = Path(name) / "tree"
        (tree / "lib" / "deep").mkdir(parents=True)
        (tree / "lib" / "deep" / "a.py").write_bytes(b"print('a')\n" * 30)
        (tree / "run").write_bytes(b"#!/bin/sh\n")
        (tree / "run").chmod(0o755)
        (tree / "lib" / "link").symlink_to("deep/a.py")
        (tree / "up").symlink_to(f"../{'1' * 32}-low/a")
        manifest = scan(tree, freeze=True)
        for compression in (Compression.ZST, Compression.XZ, Compression.GZ):
            archive.Packer(compression).pack(tree, manifest, Path(name) / "archive", name=_NAME)
            found.append((Path(name) / "archive").read_bytes())
        _release(tree)
    return found


def _manifests() -> list[bytes]:
    with TemporaryDirectory() as name:
        _put(_archives()[0], Path(name) / "archive")
        with archive.FileReader(Path(name) / "archive") as reader:
            return [Manifest(()).encoded, archive.read_index(reader).manifest.encoded]


def _manifest_files() -> list[bytes]:
    document: dict[str, object] = {
        "kind": "framework",
        "digest": "00" * 32,
        "recipe": None,
        "references": [],
        "registered_at": "2024-01-01T00:00:00+00:00",
        "inputs": [],
        "wheel_keys": [],
    }
    text = json.dumps(document).encode()
    return [_MANIFEST_MAGIC + len(text).to_bytes(4, "big") + text + tree for tree in _manifests()]


def _bad_manifest_files() -> list[bytes]:
    """Metadata nested deeper than Python's stack, and a link out of the store with a line feed in it."""
    text = b'{"kind": ' + b"[" * 50_000
    nested = [_MANIFEST_MAGIC + len(text).to_bytes(4, "big") + text + tree for tree in _manifests()]
    return [*nested, _manifest_files()[1].replace(b"-low/a", b"\nlow/a")]


def _index_contents() -> list[bytes]:
    sample = _archives()[0]
    stored_bytes, length = struct.unpack(">QQ", sample[-32:-16])
    return [zstd.decompress(sample[-64 - stored_bytes : -64], at_most=length)]


def _foreign_tars() -> Iterator[bytes]:
    """The result of Python's own tarfile for hostile members."""
    for member, link, kind in (
        (f"{_NAME}/../../evil", "", tarfile.REGTYPE),
        ("/tmp/evil", "", tarfile.REGTYPE),
        (f"{_NAME}/link", "/etc/passwd", tarfile.SYMTYPE),
        (f"{_NAME}/hard", f"{_NAME}/../../beside", tarfile.LNKTYPE),
        (f"{_NAME}/device", "", tarfile.CHRTYPE),
        (f"{_NAME}/pipe", "", tarfile.FIFOTYPE),
    ):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            info = tarfile.TarInfo(member)
            info.type, info.linkname = kind, link
            tar.addfile(info)
        yield file.getvalue()


def _deltas() -> list[bytes]:
    sizes = {"old_at": 0, "old_bytes": 7, "size_bytes": 9, "patch_bytes": 5}
    text = canonical_json([{"old": "00" * 32, "new": "11" * 32, **sizes}])
    return [b"vstore-delta-2\n" + len(text).to_bytes(4, "big") + text + b"patch"]


def _bad_frames() -> list[bytes]:
    """A bomb, two frames, one that asks for a window of 2 GiB, and one of unknown length."""
    bomb, good = zstd.compress(bytes(8 << 20), 19), zstd.compress(b"x" * 1000)
    return [bomb, good + good, b"\x28\xb5\x2f\xfd\x00\xa8\x01\0\0", b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 8 + b"\x01\0\0"]


def _told(document: object) -> bytes:
    return canonical_json(document) + b"\n"


def _unsayable(what: str) -> Callable[[], list[bytes]]:
    """The record with values in its first field that JSON can hold and nobody should write."""
    values = (b"NaN", b"1e999", b'"\\ud800"', b'{"a": 1, "a": 2}', b"[" * 900 + b"]" * 900, b"9" * 4000)
    return lambda: [
        (_GOLDEN / f"{what}.json").read_bytes().replace(b"{", b'{"metadata":{"a":' + value + b"},", 1)
        for value in values
    ]


def _record(what: str, decode: Callable[[bytes, str], Record]) -> Reader:
    """What a cache says; whatever of it is taken can be written again, and then says the same."""

    def read(data: bytes, _: Path) -> object:
        found = decode(data, "a record")
        assert decode(encode(found), "itself") == found
        return found

    return Reader(read=read, samples=lambda: [(_GOLDEN / f"{what}.json").read_bytes()], hostile=_unsayable(what))


READERS: Mapping[str, Reader] = {
    "spec": Reader(read=_spec, samples=lambda: [_SPEC.encode()]),
    "lock file": Reader(
        read=_lock,
        samples=lambda: [_LOCK.encode()],
        hostile=lambda: [
            _LOCK.replace(old, new).encode()
            for old, new in (
                ('name = "six"', "name = 6"),
                ("size = 11053", 'size = "11053"'),
                ('version = "3.11.9"', "version = 3"),
                ('sha256 = "8abb', 'sha256 = ["8abb"] # '),
                ('packages = "blake3:00"', 'packages = "blake3:00"\ninputs = 5'),
            )
        ],
    ),
    "config.toml": Reader(read=lambda data, at: read_config(_put(data, at / "config.toml")), samples=lambda: [_CONFIG]),
    "tree manifest": Reader(read=_tree, samples=_manifests),
    "manifest file": Reader(read=_manifest_file, samples=lambda: list(map(zstd.compress, _manifest_files()))),
    "manifest file, inside": Reader(
        read=lambda data, at: _manifest_file(zstd.compress(data), at),
        samples=_manifest_files,
        hostile=_bad_manifest_files,
    ),
    "layer.json": Reader(
        read=_facts,
        samples=lambda: [_told(_FACTS)],
        hostile=lambda: [
            _told({**_FACTS, name: value})
            for name, value in (("python", "3.11.9\0"), ("own", ["a\0b"]), ("own", ["../x"]), ("more", 1))
        ],
    ),
    "RECORD": Reader(
        read=lambda data, at: read_record_file(_put(data, at / _INFO / "RECORD").parents[4], _INFO),
        samples=lambda: [_RECORD],
    ),
    "entry_points.txt": Reader(
        read=lambda data, at: parse_entry_points(data.decode("utf-8", "replace")), samples=lambda: [_ENTRY_POINTS]
    ),
    "archive": Reader(read=_unpack, samples=_archives),
    "frame": Reader(read=_frame, samples=lambda: [zstd.compress(b"print('a')\n" * 30, 3)], hostile=_bad_frames),
    "archive, its index": Reader(read=_index, samples=_index_contents),
    "archive, its tar": Reader(
        read=lambda data, at: _unpack(gzip.compress(data, 1), at),
        samples=lambda: [gzip.decompress(_archives()[2])],
        hostile=lambda: list(_foreign_tars()),
    ),
    "uv's side file": Reader(read=_side_file, samples=lambda: [_SIDE_FILE]),
    "lock's record": Reader(read=_lock_record, samples=lambda: [json.dumps(_LOCK_RECORD).encode()]),
    "stack.json": Reader(
        read=_stack,
        samples=lambda: [_told(_STACK)],
        hostile=lambda: [
            *(_told({**_STACK, "layers": [{**_LAYER, "name": name}]}) for name in ("../../x", "/x", "", "a/b", "a\0b")),
            *(_told({**_STACK, name: 2}) for name in ("more", "format")),
        ],
    ),
    "generation's record": Reader(
        read=_generation,
        samples=lambda: [json.dumps(_GENERATION).encode()],
        hostile=lambda: [
            json.dumps({**_GENERATION, name: ["2"]}).encode() for name in ("replaced_number", "spec_path")
        ],
    ),
    "root's note": Reader(
        read=_pin,
        samples=lambda: [_told(_PIN)],
        hostile=lambda: [_told({**_PIN, "note": value}) for value in (None, 1, {"a": 1})],
    ),
    "secret key": Reader(
        read=_secret,
        samples=lambda: [SecretKey("builder-1", bytes(32)).text().encode()],
    ),
    "bundle": Reader(read=_bundle, samples=_bundles),
    "delta": Reader(read=_delta, samples=_deltas),
    "delta, its patch": Reader(read=_patch, samples=_patches),
    "interpreter's archive": Reader(
        read=_interpreter,
        samples=_interpreters,
        hostile=lambda: [*_foreign_tars(), *map(gzip.compress, _foreign_tars())],
    ),
    "list of downloads": Reader(
        read=_downloads_list,
        samples=lambda: [_told({"cpython-3.11.9": _DOWNLOAD})],
        hostile=lambda: [
            b"[]",
            b"1",
            _told({"a": 1}),
            _told({"a": {"sha256": 1}}),
            _told({"a": {"sha256": "00" * 32}}),
        ],
    ),
    "hashes of a release": Reader(read=_hashes, samples=lambda: [b"%064x  cpython.tar.gz\n%064x *other\n" % (1, 2)]),
    **{f"record, {what}": _record(what, decode) for what, decode in _RECORDS.items()},
}
