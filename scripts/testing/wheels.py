"""Makes real wheels in code: a name, a version and a mapping of paths to contents."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes | str],
    *,
    requires: Sequence[str] = (),
    entry_points: Mapping[str, str] | None = None,
    requires_python: str | None = None,
    tag: str = "py3-none-any",
    data: Mapping[str, bytes | str] | None = None,
    headers: Sequence[str] = (),
) -> Path:
    """Write ``<name>-<version>-<tag>.whl``; `data` goes below ``.data/`` (``scripts/x``, ``data/share/y``).

    `headers` are further lines of its METADATA.

    Equal arguments give equal bytes. RECORD has true hashes, as the wheel specification asks.
    """
    distribution = f"{name.replace('-', '_')}-{version}"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
    metadata += [f"Requires-Python: {requires_python}\n"] if requires_python else []
    metadata += [f"Requires-Dist: {requirement}\n" for requirement in requires]
    metadata += [f"{header}\n" for header in headers]
    content: dict[str, bytes | str] = dict(files)
    content |= {f"{distribution}.data/{path}": text for path, text in (data or {}).items()}
    info = f"{distribution}.dist-info"
    content[f"{info}/METADATA"] = "".join(metadata)
    content[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"
    if entry_points:
        lines = [f"{script} = {target}\n" for script, target in entry_points.items()]
        content[f"{info}/entry_points.txt"] = "[console_scripts]\n" + "".join(lines)
    record = []
    path = folder / f"{distribution}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in content.items():
            raw = text.encode() if isinstance(text, str) else text
            digest = base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()
            record.append(f"{member},sha256={digest},{len(raw)}\n")
            _write(archive, member, raw)
        record.append(f"{info}/RECORD,,\n")
        _write(archive, f"{info}/RECORD", "".join(record).encode())
    return path


def _write(archive: zipfile.ZipFile, member: str, raw: bytes) -> None:
    entry = zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0))
    entry.external_attr = (0o755 if ".data/scripts/" in member else 0o644) << 16
    archive.writestr(entry, raw)
