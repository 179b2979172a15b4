"""Installing pinned wheels with uv, then making the result the same on every machine.

uv works in a scratch prefix inside the layer. What it writes about the machine goes, scripts lose their
absolute first line, RECORDs become sorted and true, and only then do the files move into the layer, where they
may not replace anything. Files are hard links to uv's cache, so none is ever changed in place.
"""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import tomli_w

from vstore.build.clashes import Clash
from vstore.build.layer_metadata import find_infos
from vstore.build.layout import LOCK, Layout
from vstore.build.record import Line, describe, encode_record, read_record
from vstore.build.scripts.relocatable import LauncherFormat, entry_points, python_script
from vstore.errors import BuildError
from vstore.fs.atomic import write_file
from vstore.fs.reading import check_regular
from vstore.fs.trees.removal import remove_tree
from vstore.lock.model import PinnedWheel
from vstore.target import Target
from vstore.uv import Uv

__all__ = ["PinnedWheel", "install"]

_DROPPED = frozenset(("direct_url.json", "uv_cache.json", "uv_build.json", "REQUESTED", "INSTALLER", "RECORD"))
_INSTALLER = b"uv\n"
_PLATFORMS = {  # uv's names; the wheels are chosen already, so the newest system that uv knows
    Target.LINUX_X86_64: "x86_64-manylinux_2_40",
    Target.LINUX_AARCH64: "aarch64-manylinux_2_40",
    Target.MACOSX_X86_64: "x86_64-apple-darwin",
    Target.MACOSX_ARM64: "aarch64-apple-darwin",
    Target.WIN_AMD64: "x86_64-pc-windows-msvc",
    Target.WIN_ARM64: "aarch64-pc-windows-msvc",
}
_NEWEST_MACOS = "99.0"
_FLAGS = (
    "--no-deps",
    "--require-hashes",
    "--no-build",
    "--link-mode=hardlink",
    "--no-compile-bytecode",
)


class Overwritten(NamedTuple):
    """At `path` is the file of distribution `kept` (the layer's own if empty) and not the different one of `hidden`."""

    path: str
    kept: str
    hidden: str

    def clash(self, layer: str) -> Clash:
        """The same as a clash within this layer."""
        return Clash(path=self.path, kept=self.kept, kept_layer=layer, hidden=self.hidden, hidden_layer=layer)


@dataclass(slots=True, kw_only=True)
class _Tree:
    """An installed prefix: which wheel has which files. `loose` are files whose digest is in no RECORD."""

    root: Path
    site: str
    records: dict[str, dict[str, Line]] = field(default_factory=dict)
    infos: dict[str, str] = field(default_factory=dict)
    loose: set[str] = field(default_factory=set)
    overwritten: list[Overwritten] = field(default_factory=list)

    def unhashed(self) -> set[str]:
        """Paths without a digest; only a RECORD itself may have none."""
        own = {f"{info}/RECORD" for info in self.infos.values()}
        return {path for lines in self.records.values() for path, line in lines.items() if not line.digest} - own

    def has_clashes(self) -> bool:
        """Whether several wheels have different files at one path: which one is there is chance."""
        seen: dict[str, str] = {}
        lines = (item for lines in self.records.values() for item in lines.items())
        return any(seen.setdefault(path, line.digest) != line.digest for path, line in lines)


def install(
    uv: Uv,
    prefix: Path,
    wheels: Sequence[PinnedWheel],
    *,
    layout: Layout,
    python: Path,
    starters: LauncherFormat,
) -> list[Overwritten]:
    """Install wheels into `prefix`, deterministically and without running their code.

    `python` is an interpreter of this machine of the layout's series, for uv to ask.
    Where two wheels have different files at one path, the one later in the order of names has it, as if installed in
    that order; these are returned. Raises ToolError (uv's words) or BuildError (a wheel that is malformed or would
    leave its place).
    """
    if not wheels:
        return []
    ordered = sorted(wheels, key=lambda wheel: wheel.name)
    prefix.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".install-", dir=prefix) as name:
        scratch = Path(name)
        tree = _unpack(uv, ordered, scratch / "all", python, layout)
        if tree.has_clashes() or tree.loose:
            remove_tree(tree.root)
            tree = _unpack_separately(uv, ordered, scratch, python, layout)
        for wheel in ordered:
            _finish(tree, wheel, layout, starters)
        _move(tree.root, prefix, "")
        return tree.overwritten


def _unpack(uv: Uv, wheels: Sequence[PinnedWheel], root: Path, python: Path, layout: Layout) -> _Tree:
    """Let uv install the wheels into a new prefix, and read what is there."""
    root.mkdir()
    lock = root.with_name(f"pylock.{root.name}.toml")
    lock.write_bytes(_pylock(wheels).encode())
    what = wheels[0].filename if len(wheels) == 1 else f"{len(wheels)} wheels"
    arguments = ["pip", "install", "--prefix", str(root), "--python", str(python), *_FLAGS, "-r", str(lock)]
    changes = {}
    if layout.target != Target.host():
        arguments += ["--python-platform", _PLATFORMS[layout.target]]
        changes = {"MACOSX_DEPLOYMENT_TARGET": _NEWEST_MACOS} if layout.target.is_macosx else {}
    uv.run(arguments, cwd=root.parent, doing=f"installing {what}", changes=changes)
    made = _read(root, wheels, Layout(target=Target.host(), python=layout.python))
    tree = made if layout.windows == Target.host().is_windows else _rearranged(made, layout)
    _leave_out(tree, layout)
    _refuse_own_places(_files(root, ""), layout)
    return tree


def _read(root: Path, wheels: Sequence[PinnedWheel], layout: Layout) -> _Tree:
    """What uv installed, as it arranges it on this machine."""
    tree = _Tree(root=root, site=layout.site)
    infos = find_infos(root / tree.site)
    files = set(_files(root, ""))
    for wheel in wheels:
        if wheel.name not in infos:
            raise BuildError(f"{wheel.filename} has no dist-info folder for {wheel.name}")
        info = f"{tree.site}/{infos[wheel.name]}"
        lines = read_record(root, info)
        tree.infos[wheel.name] = info
        tree.records[wheel.name] = {path: line for path, line in lines.items() if path in files}
    tree.loose = files.difference(*tree.records.values()) | tree.unhashed()
    return tree


def _rearranged(tree: _Tree, layout: Layout) -> _Tree:
    """The tree with every file where the target's layout has it."""
    for path in list(_files(tree.root, "")):
        new = layout.place(path)
        if new != path:
            (tree.root / new).parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(tree.root / new):
                raise BuildError(f"{path} and {new} of a wheel are one file on {layout.target}")
            os.rename(tree.root / path, tree.root / new)
    _remove_empty(tree.root)
    records = {
        name: {layout.place(path): line._replace(path=layout.place(path)) for path, line in lines.items()}
        for name, lines in tree.records.items()
    }
    return _Tree(
        root=tree.root,
        site=layout.site,
        records=records,
        infos={name: f"{layout.site}/{posixpath.basename(info)}" for name, info in tree.infos.items()},
        loose={layout.place(path) for path in tree.loose},
    )


def _leave_out(tree: _Tree, layout: Layout) -> None:
    """Remove the files that each environment has of its own, and uv's lock of this one."""
    for path in [path for path in _files(tree.root, "") if layout.is_environments(path)]:
        owners = [name for name, lines in tree.records.items() if lines.pop(path, None)]
        if path in tree.loose and path != LOCK and not owners:
            if len(tree.records) > 1:
                continue  # each wheel is installed alone to find out whose it is
            owners = list(tree.records)
        tree.loose.discard(path)
        (tree.root / path).unlink()
        tree.overwritten += [Overwritten(path, "", name) for name in owners]


def _remove_empty(root: Path) -> None:
    for folder, folders, files in os.walk(root, topdown=False):
        if not files and not any(os.path.isdir(os.path.join(folder, name)) for name in folders):
            os.rmdir(folder)


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
    """Where uv takes the wheel from. Raises BuildError for a path where uv would wait, or read without end."""
    is_file = wheel.location.startswith("file:")
    path = unquote(urlsplit(wheel.location).path) if is_file else wheel.location
    if "://" in path:
        return {"url": path}
    try:
        check_regular(path)
    except FileNotFoundError:
        pass  # uv says so, and looks into its cache first
    except OSError as error:
        raise BuildError(f"{wheel.filename} cannot be read: {path}: {error.strerror}") from error
    return {"path": path}


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


def _unpack_separately(uv: Uv, wheels: Sequence[PinnedWheel], scratch: Path, python: Path, layout: Layout) -> _Tree:
    """Install each wheel alone, then put one over the other in order: slower, and nothing is left to chance."""
    whole = _Tree(root=scratch / "whole", site=layout.site)
    whole.root.mkdir()
    for number, wheel in enumerate(wheels):
        one = _unpack(uv, [wheel], scratch / str(number), python, layout)
        whole.overwritten += one.overwritten
        lines = one.records[wheel.name]
        for path in sorted(one.loose):
            lines[path] = describe(path, (one.root / path).read_bytes())
        for path, line in lines.items():
            for earlier, its_lines in whole.records.items():
                if path in its_lines and its_lines[path].digest != line.digest:
                    del its_lines[path]
                    whole.overwritten.append(Overwritten(path, wheel.name, earlier))
        _move(one.root, whole.root, "", replace=True)
        whole.records[wheel.name] = lines
        whole.infos |= one.infos
    return whole


def _finish(tree: _Tree, wheel: PinnedWheel, layout: Layout, starters: LauncherFormat) -> None:
    """Replace scripts, drop what tells of this machine, write the RECORD."""
    info = tree.infos[wheel.name]
    lines = tree.records[wheel.name]
    for name in _DROPPED:
        (tree.root / info / name).unlink(missing_ok=True)
        lines.pop(f"{info}/{name}", None)
    try:
        _replace_scripts(tree.root, info, lines, layout, starters)
    except BuildError as error:
        error.message = f"{wheel.filename}: {error.message}"
        raise
    _put(tree.root, lines, f"{info}/INSTALLER", _INSTALLER)
    write_file(tree.root / info / "RECORD", encode_record(lines.values(), info), durable=False)
    lines[f"{info}/RECORD"] = Line(f"{info}/RECORD", "", "")


def _replace_scripts(root: Path, info: str, lines: dict[str, Line], layout: Layout, starters: LauncherFormat) -> None:
    source = root / info / "entry_points.txt"
    generated = entry_points(source.read_text("utf-8", "replace")) if source.exists() else {}
    inside = f"{layout.scripts}/"
    for path in [path for path in lines if path.startswith(inside)]:
        name = path.removeprefix(inside)
        wanted = generated.get(layout.script_name(path))
        code = wanted.code if wanted else None if "/" in name else python_script((root / path).read_bytes())
        if code is None:
            continue
        started, data = starters.script(name, code, window=wanted is not None and wanted.window)
        if started != path:
            (root / path).unlink()
            del lines[path]
        _put(root, lines, layout.code_of(started), code)
        _put(root, lines, started, data, mode=0o755)


def _put(root: Path, lines: dict[str, Line], path: str, data: bytes, mode: int = 0o644) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    write_file(root / path, data, mode=mode, durable=False)
    lines[path] = describe(path, data)


def _refuse_own_places(files: Iterable[str], layout: Layout) -> None:
    """Refuse files where the layer's own are or will be."""
    for path in files:
        if layout.is_own_place(path):
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
