"""Advisories in the format of OSV, made in code, and the real ones that may lie beside the checkout."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
_REAL = "pypa-advisories-2024-10.tar.xz"
_SHARED = "VSTORE_TEST_DATA"  # the folder of large data for tests


def advisory(
    identifier: str,
    package: str,
    *events: Mapping[str, str],
    versions: Sequence[str] = (),
    aliases: Sequence[str] = (),
    vector: str | None = None,
    **more: object,
) -> dict[str, object]:
    """Return the document of an advisory about one package, with one range of these events."""
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    affected = {"package": {"ecosystem": "PyPI", "name": package}, "ranges": ranges, "versions": list(versions)}
    severity = [{"type": "CVSS_V3", "score": vector}] if vector else []
    return {"id": identifier, "aliases": list(aliases), "affected": [affected], "severity": severity, **more}


def fixed_in(version: str, *, introduced: str = "0") -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the events of a mistake that came with one version and went with another."""
    return {"introduced": introduced}, {"fixed": version}


def write_database(folder: Path, *documents: Mapping[str, object]) -> Path:
    """Write advisories into a new folder, one file each. Return the folder."""
    folder.mkdir()
    for document in documents:
        (folder / f"{document['id']}.json").write_text(json.dumps(document))
    return folder


def real_advisories() -> Path:
    """Return the archive of 2,662 real advisories; skip the test if it is not there.

    It lies in ``../shared/data`` beside the checkout, or in the folder that ``VSTORE_TEST_DATA`` names. It is never
    copied into the project.
    """
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    found = Path(os.environ.get(_SHARED, beside)) / _REAL
    if not found.is_file():
        pytest.skip(f"{_REAL} is neither beside the checkout nor in the folder of {_SHARED}")
    return found
