"""Install pinned wheels with uv, so that the result is the same on every machine.

uv installs into a scratch prefix inside the layer. Files about the machine are removed, scripts get launchers, and each
RECORD is sorted and corrected. Then the files move into the layer, where they may not replace anything. They are hard
links to the cache of uv, so no file is changed in place.
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
from vstore.build.layout import UV_LOCK, LayerLayout
from vstore.build.ownership import find_dist_infos
from vstore.build.record_file import RecordEntry, encode_record_file, read_record_file, record_entry
from vstore.build.scripts.entry_points import parse_entry_points, python_script
from vstore.build.scripts.launchers import LauncherFormat
from vstore.errors import BuildError
from vstore.fs.atomic import write_file
from vstore.fs.reading import check_regular
from vstore.fs.trees.removal import remove_tree
from vstore.lock.markers import uv_platform
from vstore.lock.model import PinnedWheel
from vstore.target import Target
from vstore.uv import Uv

_DROPPED = frozenset(("direct_url.json", "uv_cache.json", "uv_build.json", "REQUESTED", "INSTALLER", "RECORD"))
_INSTALLER = b"uv\n"
_NEWEST_GLIBC = (2, 99)  # the lock has selected the wheels, so uv need not refuse any
_NEWEST_MACOS = "99.0"
_FLAGS = (
    "--no-deps",
    "--require-hashes",
    "--no-build",
    "--link-mode=hardlink",
    "--no-compile-bytecode",
)


class Overwritten(NamedTuple):
    """A clash of two wheels: at `path` is the file of `kept` (empty: of the layer itself), and not that of `hidden`."""

    path: str
    kept: str
    hidden: str

    def clash(self, layer: str) -> Clash:
        """Return it as a clash within a layer."""
        return Clash(path=self.path, kept=self.kept, kept_layer=layer, hidden=self.hidden, hidden_layer=layer)


@dataclass(slots=True, kw_only=True)
class _Prefix:
    """An installed prefix, and the files of each wheel. `loose` files have no digest in any RECORD."""

    root: Path
    site_packages: str
    records: dict[str, dict[str, RecordEntry]] = field(default_factory=dict)
    dist_infos: dict[str, str] = field(default_factory=dict)
    loose: set[str] = field(default_factory=set)
    overwritten: list[Overwritten] = field(default_factory=list)

    def unhashed(self) -> set[str]:
        """Return the paths without a digest. Only a RECORD itself may have none."""
        own = {f"{info}/RECORD" for info in self.dist_infos.values()}
        return {path for lines in self.records.values() for path, line in lines.items() if not line.digest} - own

    def has_clashes(self) -> bool:
        """Whether several wheels have different files at one path. Which one uv installs is undefined."""
        seen: dict[str, str] = {}
        lines = (item for lines in self.records.values() for item in lines.items())
        return any(seen.setdefault(path, line.digest) != line.digest for path, line in lines)


def install(
    uv: Uv,
    prefix: Path,
    wheels: Sequence[PinnedWheel],
    *,
    layout: LayerLayout,
    python: Path,
    launchers: LauncherFormat,
) -> list[Overwritten]:
    """Install wheels into `prefix`, deterministically and without running their code, and return their clashes.

    uv queries `python`, an interpreter of this machine with the feature version of the layout. Where two wheels have
    different files at one path, the file of the wheel whose name sorts last is there. Raises ToolError with the output
    of uv, or BuildError for a wheel that is gone, malformed, or has files outside its place.
    """
    if not wheels:
        return []
    gone = [one.location for one in wheels if os.path.isabs(one.location) and not os.path.exists(one.location)]
    if gone:
        raise BuildError(
            "the lock names wheels on this machine that are gone",
            details=gone,
            hint="put them back; or lock again with the folder that has them: `vstore lock --local-wheels DIR SPEC`",
        )
    ordered = sorted(wheels, key=lambda wheel: wheel.name)
    prefix.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".install-", dir=prefix) as name:
        scratch = Path(name)
        tree = _install(uv, ordered, scratch / "all", python, layout)
        if tree.has_clashes() or tree.loose:
            remove_tree(tree.root)
            tree = _install_separately(uv, ordered, scratch, python, layout)
        for wheel in ordered:
            _finish(tree, wheel, layout, launchers)
        _move(tree.root, prefix, "")
        return tree.overwritten


def _install(uv: Uv, wheels: Sequence[PinnedWheel], root: Path, python: Path, layout: LayerLayout) -> _Prefix:
    """Let uv install the wheels into a new prefix, in the layout of the target."""
    root.mkdir()
    lock = root.with_name(f"pylock.{root.name}.toml")
    lock.write_bytes(_pylock(wheels).encode())
    subject = wheels[0].filename if len(wheels) == 1 else f"{len(wheels)} wheels"
    arguments = ["pip", "install", "--prefix", str(root), "--python", str(python), *_FLAGS, "-r", str(lock)]
    changes = {}
    if layout.target != Target.host():
        arguments += ["--python-platform", uv_platform(layout.target, _NEWEST_GLIBC)]
        changes = {"MACOSX_DEPLOYMENT_TARGET": _NEWEST_MACOS} if layout.target.is_macosx else {}
    if uv.on_call is not None:
        for wheel in wheels:
            uv.on_call(f"uv installs {wheel.location}")
    uv.run(arguments, cwd=root.parent, doing=f"installing {subject}", changes=changes)
    tree = _read_prefix(root, wheels, LayerLayout(target=Target.host(), python=layout.python))
    if layout.target.is_windows != Target.host().is_windows:
        tree = _rearrange(tree, layout)
    _leave_out(tree, layout)
    _refuse_reserved(_files(root, ""), layout)
    return tree


def _read_prefix(root: Path, wheels: Sequence[PinnedWheel], layout: LayerLayout) -> _Prefix:
    """Read a prefix that uv installed, in the layout of this machine."""
    tree = _Prefix(root=root, site_packages=layout.site_packages)
    infos = find_dist_infos(root / tree.site_packages)
    files = set(_files(root, ""))
    for wheel in wheels:
        if wheel.name not in infos:
            raise BuildError(f"{wheel.filename} has no dist-info folder for {wheel.name}")
        info = f"{tree.site_packages}/{infos[wheel.name]}"
        lines = read_record_file(root, info)
        tree.dist_infos[wheel.name] = info
        tree.records[wheel.name] = {path: line for path, line in lines.items() if path in files}
    tree.loose = files.difference(*tree.records.values()) | tree.unhashed()
    return tree


def _rearrange(tree: _Prefix, layout: LayerLayout) -> _Prefix:
    """Move every file to its path in the layout of the target."""
    for path in list(_files(tree.root, "")):
        new = layout.from_posix(path)
        if new != path:
            (tree.root / new).parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(tree.root / new):
                raise BuildError(f"{path} and {new} of a wheel are one file on {layout.target}")
            os.rename(tree.root / path, tree.root / new)
    _remove_empty(tree.root)
    records = {
        name: {layout.from_posix(path): line._replace(path=layout.from_posix(path)) for path, line in lines.items()}
        for name, lines in tree.records.items()
    }
    return _Prefix(
        root=tree.root,
        site_packages=layout.site_packages,
        records=records,
        dist_infos={
            name: f"{layout.site_packages}/{posixpath.basename(info)}" for name, info in tree.dist_infos.items()
        },
        loose={layout.from_posix(path) for path in tree.loose},
    )


def _leave_out(tree: _Prefix, layout: LayerLayout) -> None:
    """Remove the files of which every environment has its own, and the lock of uv."""
    for path in [path for path in _files(tree.root, "") if layout.is_environment_file(path)]:
        owners = [name for name, lines in tree.records.items() if lines.pop(path, None)]
        if path in tree.loose and path != UV_LOCK and not owners:
            if len(tree.records) > 1:
                continue  # each wheel is then installed alone, so its owner is known
            owners = list(tree.records)
        tree.loose.discard(path)
        (tree.root / path).unlink()
        tree.overwritten += [Overwritten(path, "", name) for name in owners]


def _remove_empty(root: Path) -> None:
    for folder, folders, files in os.walk(root, topdown=False):
        if not files and not any(os.path.isdir(os.path.join(folder, name)) for name in folders):
            os.rmdir(folder)


def _pylock(wheels: Sequence[PinnedWheel]) -> str:
    """Return a PEP 751 file with exactly these wheels. uv finds a cached wheel by its index, without a network."""
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
    """Return the place of a wheel for uv. Raises BuildError for a path that is not a regular file: uv would block."""
    is_file = wheel.location.startswith("file:")
    path = unquote(urlsplit(wheel.location).path) if is_file else wheel.location
    if "://" in path:
        return {"url": path}
    try:
        check_regular(path)
    except FileNotFoundError:
        pass  # uv looks into its cache first, and reports it
    except OSError as error:
        raise BuildError(f"{wheel.filename} cannot be read: {path}: {error.strerror}") from error
    return {"path": path}


def _files(root: Path, prefix: str) -> Iterator[str]:
    """Yield the files below a prefix, and remove bytecode: it is compiled again, the same everywhere."""
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


def _install_separately(
    uv: Uv, wheels: Sequence[PinnedWheel], scratch: Path, python: Path, layout: LayerLayout
) -> _Prefix:
    """Install each wheel alone and merge them in order. This is slower, but the result is defined."""
    whole = _Prefix(root=scratch / "whole", site_packages=layout.site_packages)
    whole.root.mkdir()
    for number, wheel in enumerate(wheels):
        one = _install(uv, [wheel], scratch / str(number), python, layout)
        whole.overwritten += one.overwritten
        lines = one.records[wheel.name]
        for path in sorted(one.loose):
            lines[path] = record_entry(path, (one.root / path).read_bytes())
        for path, line in lines.items():
            for earlier, its_lines in whole.records.items():
                if path in its_lines and its_lines[path].digest != line.digest:
                    del its_lines[path]
                    whole.overwritten.append(Overwritten(path, wheel.name, earlier))
        _move(one.root, whole.root, "", replace=True)
        whole.records[wheel.name] = lines
        whole.dist_infos |= one.dist_infos
    return whole


def _finish(tree: _Prefix, wheel: PinnedWheel, layout: LayerLayout, launchers: LauncherFormat) -> None:
    """Replace scripts, remove files about this machine, and write the RECORD."""
    info = tree.dist_infos[wheel.name]
    lines = tree.records[wheel.name]
    for name in _DROPPED:
        (tree.root / info / name).unlink(missing_ok=True)
        lines.pop(f"{info}/{name}", None)
    try:
        _replace_scripts(tree.root, info, lines, layout, launchers)
    except BuildError as error:
        error.message = f"{wheel.filename}: {error.message}"
        raise
    _put(tree.root, lines, f"{info}/INSTALLER", _INSTALLER)
    write_file(tree.root / info / "RECORD", encode_record_file(lines.values(), info), durable=False)
    lines[f"{info}/RECORD"] = RecordEntry(f"{info}/RECORD", "", "")


def _replace_scripts(
    root: Path, info: str, lines: dict[str, RecordEntry], layout: LayerLayout, launchers: LauncherFormat
) -> None:
    source = root / info / "entry_points.txt"
    generated = parse_entry_points(source.read_text("utf-8", "replace")) if source.exists() else {}
    inside = f"{layout.scripts}/"
    for path in [path for path in lines if path.startswith(inside)]:
        name = path.removeprefix(inside)
        entry_point = generated.get(layout.script_name(path))
        code = entry_point.code if entry_point else None if "/" in name else python_script((root / path).read_bytes())
        if code is None:
            continue
        launcher, data = launchers.script(name, code, window=entry_point is not None and entry_point.window)
        if launcher != path:
            (root / path).unlink()
            del lines[path]
        _put(root, lines, layout.code_path(launcher), code)
        _put(root, lines, launcher, data, mode=0o755)


def _put(root: Path, lines: dict[str, RecordEntry], path: str, data: bytes, mode: int = 0o644) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    write_file(root / path, data, mode=mode, durable=False)
    lines[path] = record_entry(path, data)


def _refuse_reserved(files: Iterable[str], layout: LayerLayout) -> None:
    """Raise BuildError for a file at a path that is reserved for the layer."""
    for path in files:
        if layout.is_reserved(path):
            raise BuildError(f"refused {path} in a wheel: this path is reserved for the layer")


def _move(source: Path, target: Path, prefix: str, *, replace: bool = False) -> None:
    """Move a tree into another one. Folders are merged. A file replaces a file only with `replace`."""
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
            raise BuildError(f"{path} is in several wheels, or belongs to the layer")
