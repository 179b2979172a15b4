"""Checks of a built layer that need no run of it: names that its target can have, binaries that its target can load.

They hold for this machine's own layers too, where a wheel with a wrong tag would else fail only when it is imported.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vstore.build.layer_metadata import LayerMetadata
from vstore.build.layout import Layout
from vstore.build.native.binaries import expected_format, machine, read_binary
from vstore.errors import BuildError
from vstore.fs.trees.names import collisions, refused_by_windows

_LONGEST = 20  # how many faults are told


def check_layer(layer: Path, facts: LayerMetadata) -> None:
    """Raises BuildError naming each file that the layer's target cannot have or load."""
    layout = facts.layout
    faults = [] if layout.target.is_linux else list(_names(layer, "", layout))
    if not faults:
        faults = list(_extensions(layer, facts))
    if faults:
        more = [f"and {len(faults) - _LONGEST} more"] if len(faults) > _LONGEST else []
        raise BuildError(
            f"layer {facts.name} cannot be for {layout.target}: {faults[0]}",
            details=[*faults[1:_LONGEST], *more],
            hint="take another version of the package, or leave this platform out by `platforms`",
        )


def _names(layer: Path, prefix: str, layout: Layout) -> Iterator[str]:
    """Real folders only: what is linked was checked where it is."""
    with os.scandir(layer / prefix) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for one, other in collisions(entry.name for entry in entries):
        yield f"{prefix}{one} and {prefix}{other} are one file there"
    for entry in entries:
        reason = refused_by_windows(entry.name) if layout.windows else None
        if reason is not None:
            yield f"{prefix}{entry.name} cannot be there: {reason}"
        if entry.is_dir(follow_symlinks=False):
            yield from _names(layer, f"{prefix}{entry.name}/", layout)


def _extensions(layer: Path, facts: LayerMetadata) -> Iterator[str]:
    layout = facts.layout
    needed = f"{expected_format(layout.target)} for {machine(layout.target)}"
    for distribution in facts.distributions:
        for path in facts.files(layer, distribution):
            suffix = next((one for one in layout.extension_suffixes if path.endswith(one)), None)
            if suffix is None:
                continue
            binary = read_binary(layer / path)
            if binary is not None and binary.fits(layout.target):
                continue
            name = PurePosixPath(path).name.removesuffix(suffix)  # `x.so` may be a library for another purpose
            if suffix not in (".so", ".pyd") or b"PyInit_" + name.encode() in (layer / path).read_bytes():
                owner = f"{distribution.name} {distribution.version}"
                yield f"{path} of {owner} is {binary or 'no library'}, not {needed}"


def set_executable(layer: Path, layout: Layout) -> None:
    """Make what is executable depend on names alone where the target's system does; a shared file is copied first."""
    if not layout.windows or os.name == "nt":
        return
    for folder, _, names in os.walk(layer):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink():
                continue
            mode = path.stat().st_mode
            wanted = layout.executable(name, False)
            if bool(mode & 0o100) == wanted:
                continue
            copy = path.with_name(f".{name}.copy")
            shutil.copyfile(path, copy)
            copy.chmod(0o755 if wanted else 0o644)
            os.replace(copy, path)
