"""Installing pinned wheels with uv, then making the result the same on every machine.

uv works in a scratch prefix inside the layer. What it writes about the machine goes, scripts lose their
absolute first line, RECORDs become sorted and true, and only then do the files move into the layer, where they
may not replace anything. Files are hard links to uv's cache, so none is ever changed in place.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import tomli_w

from vstore.build.facts import find_infos, site_packages
from vstore.build.record import Line, describe, encode_record, read_record
from vstore.build.scripts import CODE, LAUNCH, entry_points, interpreter_names, python_script, script_trampoline
from vstore.errors import BuildError
from vstore.fs.atomic import remove_tree, write_file
from vstore.lock.model import PinnedWheel
from vstore.report import Report
from vstore.uv import Uv

__all__ = ["PinnedWheel", "install"]

_DROPPED = frozenset(("direct_url.json", "uv_cache.json", "uv_build.json", "REQUESTED", "INSTALLER", "RECORD"))
_INSTALLER = b"uv\n"
_FLAGS = (
    "--no-deps",
    "--require-hashes",
    "--no-build",
    "--no-config",
    "--link-mode=hardlink",
    "--no-compile-bytecode",
    "--preview-features=pylock",
)


@dataclass(slots=True, kw_only=True)
class _Tree:
    """An installed prefix: which wheel has which files. `loose` are files whose content no RECORD tells."""

    root: Path
    site: str
    records: dict[str, dict[str, Line]] = field(default_factory=dict)
    infos: dict[str, str] = field(default_factory=dict)
    loose: set[str] = field(default_factory=set)

    def unhashed(self) -> set[str]:
        """Paths without a digest; only a RECORD itself may have none."""
        own = {f"{info}/RECORD" for info in self.infos.values()}
        return {path for lines in self.records.values() for path, line in lines.items() if not line.digest} - own

    def clashes(self) -> set[str]:
        """Paths that several wheels have with other content: which one is there is chance."""
        seen: dict[str, str] = {}
        found = set()
        for lines in self.records.values():
            for path, line in lines.items():
                if seen.setdefault(path, line.digest) != line.digest:
                    found.add(path)
        return found


def install(
    uv: Uv, prefix: Path, wheels: Sequence[PinnedWheel], python: Path, python_version: str, report: Report
) -> None:
    """Install wheels into `prefix` for the interpreter `python`, deterministically and without running their code.

    Where two wheels have a file in common, the one later in the order of names has it, as if installed in that
    order. Raises ToolError (uv's words) or BuildError (a wheel that is malformed or would leave its place).
    """
    if not wheels:
        return
    ordered = sorted(wheels, key=lambda wheel: wheel.name)
    prefix.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".install-", dir=prefix) as name:
        scratch = Path(name)
        tree = _unpack(uv, ordered, scratch / "all", python, python_version)
        clashes = tree.clashes()
        if clashes or tree.loose:
            if clashes:
                report.note(f"several wheels have {min(clashes)}; the last in the order of names has it")
            remove_tree(tree.root)
            tree = _unpack_separately(uv, ordered, scratch, python, python_version)
        for wheel in ordered:
            _finish(tree, wheel, python_version)
        _move(tree.root, prefix, "")


def _unpack(uv: Uv, wheels: Sequence[PinnedWheel], root: Path, python: Path, python_version: str) -> _Tree:
    """Let uv install the wheels into a new prefix, and read what is there."""
    root.mkdir()
    lock = root.with_name(f"pylock.{root.name}.toml")
    lock.write_bytes(_pylock(wheels).encode())
    what = wheels[0].filename if len(wheels) == 1 else f"{len(wheels)} wheels"
    arguments = ["pip", "install", "--prefix", str(root), "--python", str(python), *_FLAGS, "-r", str(lock)]
    uv.run(arguments, cwd=root.parent, doing=f"installing {what}")
    (root / ".lock").unlink(missing_ok=True)
    tree = _Tree(root=root, site=site_packages(python_version))
    infos = find_infos(root / tree.site)
    files = set(_files(root, ""))
    _refuse_own_places(files, python_version)
    for wheel in wheels:
        if wheel.name not in infos:
            raise BuildError(f"{wheel.filename} has no dist-info folder for {wheel.name}")
        info = f"{tree.site}/{infos[wheel.name]}"
        lines = read_record(root, info)
        tree.infos[wheel.name] = info
        tree.records[wheel.name] = {path: line for path, line in lines.items() if path in files}
    tree.loose = files.difference(*tree.records.values()) | tree.unhashed()
    return tree


def _pylock(wheels: Sequence[PinnedWheel]) -> str:
    """A PEP 751 file with these wheels and no choice. With its index, a wheel that uv has cached needs no network."""
    packages = [
        {
            "name": wheel.name,
            "version": wheel.version,
            **({"index": wheel.index} if wheel.index else {}),
            "wheels": [{"name": wheel.filename, **_source(wheel), "hashes": {"sha256": wheel.sha256}}],
        }
        for wheel in wheels
    ]
    return tomli_w.dumps({"lock-version": "1.0", "created-by": "vstore", "packages": packages})


def _source(wheel: PinnedWheel) -> dict[str, str]:
    if wheel.location.startswith("file:"):
        return {"path": unquote(urlsplit(wheel.location).path)}
    return {"url" if "://" in wheel.location else "path": wheel.location}


def _files(root: Path, prefix: str) -> Iterator[str]:
    """The files below, bytecode removed on the way: it is compiled again, the same everywhere."""
    with os.scandir(root / prefix) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{prefix}{entry.name}"
        if entry.is_symlink():
            raise BuildError(f"refused {path}: wheels have no links")
        if not entry.is_dir():
            yield path
        elif entry.name == "__pycache__" and all(name.endswith(".pyc") for name in os.listdir(entry)):
            remove_tree(Path(entry))
        else:
            yield from _files(root, path + "/")


def _unpack_separately(
    uv: Uv, wheels: Sequence[PinnedWheel], scratch: Path, python: Path, python_version: str
) -> _Tree:
    """Install each wheel alone, then put one over the other in order: slower, and nothing is left to chance."""
    whole = _Tree(root=scratch / "whole", site=site_packages(python_version))
    whole.root.mkdir()
    for number, wheel in enumerate(wheels):
        one = _unpack(uv, [wheel], scratch / str(number), python, python_version)
        lines = one.records[wheel.name]
        for path in one.loose:
            lines[path] = describe(path, (one.root / path).read_bytes())
        for path, line in lines.items():
            for earlier in whole.records.values():
                if path in earlier and earlier[path].digest != line.digest:
                    del earlier[path]
        _move(one.root, whole.root, "", replace=True)
        whole.records[wheel.name] = lines
        whole.infos |= one.infos
    return whole


def _finish(tree: _Tree, wheel: PinnedWheel, python_version: str) -> None:
    """Replace scripts, drop what tells of this machine, write the RECORD."""
    info = tree.infos[wheel.name]
    lines = tree.records[wheel.name]
    for name in _DROPPED:
        (tree.root / info / name).unlink(missing_ok=True)
        lines.pop(f"{info}/{name}", None)
    try:
        _replace_scripts(tree.root, info, lines, python_version)
    except BuildError as error:
        error.message = f"{wheel.filename}: {error.message}"
        raise
    _put(tree.root, lines, f"{info}/INSTALLER", _INSTALLER)
    write_file(tree.root / info / "RECORD", encode_record(lines.values(), info), durable=False)
    lines[f"{info}/RECORD"] = Line(f"{info}/RECORD", "", "")


def _replace_scripts(root: Path, info: str, lines: dict[str, Line], python_version: str) -> None:
    source = root / info / "entry_points.txt"
    generated = entry_points(source.read_text("utf-8", "replace")) if source.exists() else {}
    for path in [path for path in lines if path.startswith("bin/")]:
        name = path.removeprefix("bin/")
        code = generated.get(name) or (None if "/" in name else python_script((root / path).read_bytes()))
        if code is not None:
            _put(root, lines, f"{CODE}/{name}", code)
            _put(root, lines, path, script_trampoline(python_version, name), mode=0o755)


def _put(root: Path, lines: dict[str, Line], path: str, data: bytes, mode: int = 0o644) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    write_file(root / path, data, mode=mode, durable=False)
    lines[path] = describe(path, data)


def _refuse_own_places(files: Iterable[str], python_version: str) -> None:
    """Refuse files where the layer's own are or will be."""
    names = interpreter_names(python_version)
    places = {"pyvenv.cfg", LAUNCH, *(f"{folder}/{name}" for folder in ("bin", "libexec") for name in names)}
    for path in files:
        if path in places or path.startswith((CODE + "/", "share/vstore/")):
            raise BuildError(f"refused {path} in a wheel: that place belongs to the layer")


def _move(source: Path, target: Path, prefix: str, *, replace: bool = False) -> None:
    """Move a tree into another one; folders are merged, files replace files only if told so."""
    for name in sorted(os.listdir(source / prefix)):
        path = f"{prefix}{name}"
        old, new = source / path, target / path
        if not os.path.lexists(new):
            os.rename(old, new)
        elif old.is_dir() and new.is_dir() and not new.is_symlink():
            _move(source, target, path + "/", replace=replace)
        elif replace and old.is_file() and new.is_file():
            os.replace(old, new)
        else:
            raise BuildError(f"{path} is brought by several wheels, or is the layer's own")
