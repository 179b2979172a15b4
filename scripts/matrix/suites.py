"""The test suites of packages, from their source distributions."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tomllib
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.matrix.environment import Workshop

# What pytest is given. The suites need nothing but pytest and what the large stacks have anyway.
SUITES: Mapping[str, Sequence[str]] = {
    "click": ("tests",),
    "idna": ("tests",),
    "itsdangerous": ("tests",),
    "jinja2": ("tests",),
    "markupsafe": ("tests",),
    "packaging": ("tests",),
    "pluggy": ("testing",),
    "six": ("test_six.py",),
    "toolz": ("toolz/tests",),
    "typing-extensions": ("src/test_typing_extensions.py",),
    "wheel": ("tests",),
}


def unpack_suites(
    versions: Mapping[str, str], tops: Mapping[str, Sequence[str]], shop: Workshop, work: Path
) -> dict[str, list[str]]:
    """Unpack the source distributions of the packages of `SUITES` that are there, without the packages themselves.

    Return by folder what to give to pytest.
    """
    pins = "".join(f"{name}=={versions[name]}\n" for name in SUITES if name in versions)
    if not pins:
        return {}
    lock = tomllib.loads(shop.uv("pip", "compile", "-", "--no-deps", "--format", "pylock.toml", text=pins))
    found = {}
    for package in lock["packages"]:
        if "sdist" in package:
            folder = _unpacked(package["sdist"], work / "suites" / package["name"])
            for name in tops[package["name"]]:
                _remove_package(folder, name)
            found[str(folder)] = list(SUITES[package["name"]])
    return found


def _unpacked(sdist: Mapping[str, Any], into: Path) -> Path:
    with urllib.request.urlopen(sdist["url"], timeout=60) as answer:
        data = answer.read()
    assert hashlib.sha256(data).hexdigest() == sdist["hashes"]["sha256"], sdist["url"]
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    archive = into / "sdist.tar.gz"
    archive.write_bytes(data)
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    archive.unlink()
    return next(into.iterdir())


def _remove_package(folder: Path, name: str) -> None:
    """Remove a module from an unpacked source distribution, so that the installed one is tested; leave its tests."""
    for place in (folder / name, folder / "src" / name):
        place.with_suffix(".py").unlink(missing_ok=True)
        if place.is_dir():
            for one in place.iterdir():
                if one.name != "tests":
                    shutil.rmtree(one) if one.is_dir() else one.unlink()
