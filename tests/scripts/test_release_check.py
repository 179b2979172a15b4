"""A release is refused when its files lack something, or when its tag says something else than its files."""

from __future__ import annotations

import io
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

from scripts.release_check import ROOT, missing_files, wrong_for_tag

PAGES = ("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "uv.lock")


def archives(folder: Path, *, without: str = "", beside: str = "") -> tuple[Path, Path]:
    """Write an sdist and a wheel with this checkout's files but for one name, and with one that is not ours."""
    sdist, wheel = folder / "vstore-1.tar.gz", folder / "vstore-1-py3-none-any.whl"
    with tarfile.open(sdist, "w:gz") as packed:
        for name in PAGES:
            if name != without:
                packed.addfile(tarfile.TarInfo(f"vstore-1/{name}"), io.BytesIO())
    ours = [file.relative_to(ROOT).as_posix() for file in (ROOT / "vstore").rglob("*") if file.is_file()]
    with zipfile.ZipFile(wheel, "w") as files:
        for name in [*ours, "vstore-1.dist-info/METADATA", *([beside] if beside else [])]:
            if name != without and "__pycache__" not in name:
                files.writestr(name, b"")
    return sdist, wheel


def facts(*urls: str) -> Message:
    """Return the metadata of version 1.0 with these addresses."""
    message = Message()
    message["Version"] = "1.0"
    for url in urls:
        message["Project-URL"] = url
    return message


def test_every_file_of_the_package_is_looked_for(tmp_path: Path) -> None:
    assert missing_files(*archives(tmp_path)) == []
    for name in ("vstore/store/index/schema.sql", "vstore/build/compile_worker.py", "vstore/py.typed"):
        assert missing_files(*archives(tmp_path, without=name)) == [f"vstore-1-py3-none-any.whl lacks {name}"]


def test_pages_and_strangers_are_noticed(tmp_path: Path) -> None:
    assert missing_files(*archives(tmp_path, without="LICENSE")) == ["vstore-1.tar.gz lacks LICENSE"]
    found = missing_files(*archives(tmp_path, beside="tests/__init__.py"))
    assert found == ["vstore-1-py3-none-any.whl installs tests beside vstore"]


def test_a_tag_must_fit_the_files(tmp_path: Path) -> None:
    page = tmp_path / "CHANGELOG.md"
    page.write_text("# Changelog\n\n## 1.0 (2030-01-02)\n\n### New\n")
    assert list(wrong_for_tag("v1.0", facts("Source, https://host.org/vstore"), page)) == []
    assert list(wrong_for_tag("v1.1", facts(), page)) == ["the tag is v1.1, but the version is 1.0"]
    assert list(wrong_for_tag("v1.0", facts("Source, https://vstore.example/vstore"), page)) == [
        "pyproject.toml has no public address yet: Source, https://vstore.example/vstore"
    ]
    page.write_text("# Changelog\n")
    (missing,) = wrong_for_tag("v1.0", facts(), page)
    assert missing.startswith("CHANGELOG.md has no release 1.0")
