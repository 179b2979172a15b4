"""Check a built layer without running it: its target can have the names, and can load the binaries.

Layers for this machine are checked too: a wheel with a wrong tag would otherwise fail only when it is imported.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vstore.build.layer_metadata import LayerMetadata
from vstore.build.layout import LayerLayout
from vstore.build.native.binaries import expected_format, machine, read_binary
from vstore.errors import BuildError
from vstore.fs.trees.names import collisions, refused_by_windows

_MAX_FAULTS = 20  # in one error


def check_layer(layer: Path, metadata: LayerMetadata) -> None:
    """Raise BuildError, with the names of all files that the target of the layer cannot have or load."""
    layout = metadata.layout
    faults = [] if layout.target.is_linux else list(_names(layer, "", layout))
    if not faults:
        faults = list(_extensions(layer, metadata))
    if faults:
        more = [f"and {len(faults) - _MAX_FAULTS} more"] if len(faults) > _MAX_FAULTS else []
        raise BuildError(
            f"layer {metadata.name} cannot be for {layout.target}: {faults[0]}",
            details=[*faults[1:_MAX_FAULTS], *more],
            hint="require another version of the package, or leave this platform out of `platforms`",
        )


def _names(layer: Path, prefix: str, layout: LayerLayout) -> Iterator[str]:
    """Yield the faults of names in real folders. The targets of links were checked with their own layers."""
    with os.scandir(layer / prefix) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for one, other in collisions(entry.name for entry in entries):
        yield f"{prefix}{one} and {prefix}{other} are the same file there"
    for entry in entries:
        reason = refused_by_windows(entry.name) if layout.target.is_windows else None
        if reason is not None:
            yield f"{prefix}{entry.name} cannot be there: {reason}"
        if entry.is_dir(follow_symlinks=False):
            yield from _names(layer, f"{prefix}{entry.name}/", layout)


def _extensions(layer: Path, metadata: LayerMetadata) -> Iterator[str]:
    layout = metadata.layout
    suffixes = _extension_suffixes(layout)
    needed = f"{expected_format(layout.target)} for {machine(layout.target)}"
    for distribution in metadata.distributions:
        for path in metadata.files(layer, distribution):
            suffix = next((one for one in suffixes if path.endswith(one)), None)
            if suffix is None:
                continue
            binary = read_binary(layer / path)
            if binary is not None and binary.fits(layout.target):
                continue
            name = PurePosixPath(path).name.removesuffix(suffix)  # `x.so` need not be an extension module
            if suffix not in (".so", ".pyd") or b"PyInit_" + name.encode() in (layer / path).read_bytes():
                owner = f"{distribution.name} {distribution.version}"
                yield f"{path} of {owner} is {binary or 'not a library'}, not {needed}"


def _extension_suffixes(layout: LayerLayout) -> tuple[str, ...]:
    """Return the suffixes of the extension modules that an interpreter loads, the most specific first."""
    digits = layout.python.feature.replace(".", "")
    if layout.target.is_windows:
        return (f".cp{digits}-{layout.target}.pyd", ".pyd")
    machine = layout.target.value.partition("_")[2]
    linux, darwin = f".cpython-{digits}-{machine}-linux-gnu.so", f".cpython-{digits}-darwin.so"
    return (linux if layout.target.is_linux else darwin, ".abi3.so", ".so")


def set_executable_bits(layer: Path, layout: LayerLayout) -> None:
    """For Windows, set executable bits by the names of files alone. A file that may be shared is copied first."""
    if not layout.target.is_windows or os.name == "nt":
        return
    for folder, _, names in os.walk(layer):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink():
                continue
            mode = path.stat().st_mode
            executable = layout.is_executable(name, False)
            if bool(mode & 0o100) == executable:
                continue
            copy = path.with_name(f".{name}.copy")
            shutil.copyfile(path, copy)
            copy.chmod(0o755 if executable else 0o644)
            os.replace(copy, path)
