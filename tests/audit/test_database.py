from __future__ import annotations

import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from scripts.testing.advisories import advisory, fixed_in, write_database
from vstore.audit import sources
from vstore.audit.database import AdvisoryDatabase
from vstore.audit.sources import LocalSource
from vstore.errors import UsageError
from vstore.reporter import NullReporter

ONE = advisory("X-1", "One", *fixed_in("2"))
TWO = advisory("X-2", "two", *fixed_in("2"))


class Warnings(NullReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, text: str, hint: str | None = None) -> None:
        self.lines.append(text)


def packed(folder: Path, kind: str) -> Path:
    files = write_database(folder / "files", ONE, TWO)
    (files / "README.md").write_text("not an advisory")
    target = folder / f"all.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files.iterdir():
                archive.write(file, file.name)
    else:
        mode = f"w:{kind.partition('.')[2]}"
        with tarfile.open(target, mode) as tar:  # type: ignore[call-overload]
            tar.add(files, "database")
    return target


@pytest.mark.parametrize("kind", ["zip", "tar.", "tar.gz", "tar.xz", "tar.bz2"])
def test_archives_are_read_as_folders_are(tmp_path: Path, kind: str) -> None:
    found = AdvisoryDatabase.open(LocalSource(packed(tmp_path, kind)))
    assert (found.size, found.packages) == (2, ("one", "two"))
    assert [one.id for one in found.advisories("one")] == ["X-1"]
    assert found.advisories("three") == () and found.warnings == ()


def test_a_single_advisory_is_a_database(tmp_path: Path) -> None:
    (file,) = write_database(tmp_path / "db", ONE).iterdir()
    assert AdvisoryDatabase.open(LocalSource(file)).packages == ("one",)


def test_a_malformed_file_is_one_warning(tmp_path: Path) -> None:
    folder = write_database(tmp_path / "db", ONE)
    (folder / "bad.json").write_text("{")
    (folder / "worse.yaml").write_text("a: [")
    (folder / "large.json").write_bytes(b" " * (sources.MAX_FILE_BYTES + 1))
    os.mkfifo(folder / "fifo.json")
    reporter = Warnings()
    found = AdvisoryDatabase.open(LocalSource(folder), reporter=reporter)
    assert found.size == 1
    assert sorted(line.split()[1] for line in reporter.lines) == ["bad.json", "fifo.json", "large.json", "worse.yaml"]


def test_many_malformed_files_are_summed_up(tmp_path: Path) -> None:
    folder = write_database(tmp_path / "db", ONE)
    for number in range(30):
        (folder / f"{number}.json").write_text("[]")
    reporter = Warnings()
    AdvisoryDatabase.open(LocalSource(folder), reporter=reporter)
    assert len(reporter.lines) == 21 and reporter.lines[-1].startswith("10 more files")


@pytest.mark.parametrize("name", ["all", "all.zip", "all.json"])
def test_a_fifo_is_refused_at_once(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match=f"{name}: it is a FIFO"):
        AdvisoryDatabase.open(LocalSource(tmp_path / name))


@pytest.mark.parametrize("make", ["nothing", "empty", "other", "text", "truncated"])
def test_what_is_no_database_is_refused(tmp_path: Path, make: str) -> None:
    place = tmp_path / "all.zip"
    if make == "empty":
        place.mkdir()
    elif make == "other":
        place.mkdir()
        (place / "sbom.json").write_text('{"bomFormat": "CycloneDX"}')
        (place / "broken.json").write_text("{")
    elif make == "text":
        place.write_text("hello")
    elif make == "truncated":
        place.write_bytes(packed(tmp_path, "tar.gz").read_bytes()[:-40])
    with pytest.raises(UsageError, match="database of advisories"):
        AdvisoryDatabase.open(LocalSource(place))


def test_an_archive_with_an_endless_content_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "all.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.json", b" " * 5_000)
    with pytest.raises(UsageError, match="larger than the limits"):
        AdvisoryDatabase.open(LocalSource(place, max_total_bytes=10_000))


def test_the_parsed_form_is_used_until_the_database_changes(tmp_path: Path) -> None:
    folder, cache = write_database(tmp_path / "db", ONE), tmp_path / "cache"
    first = AdvisoryDatabase.open(LocalSource(folder), cache)
    (kept,) = cache.iterdir()
    document = json.loads(kept.read_text())
    document["packages"]["kept"] = "[]"
    kept.write_text(json.dumps(document))
    second = AdvisoryDatabase.open(LocalSource(folder), cache)
    assert second.packages == ("kept", "one") and second.advisories("one") == first.advisories("one")
    (folder / "X-2.json").write_text(json.dumps(TWO))
    assert AdvisoryDatabase.open(LocalSource(folder), cache).packages == ("one", "two")
    kept.write_text('{"format": 1, "state"')
    assert AdvisoryDatabase.open(LocalSource(folder), cache).packages == ("one", "two")
    assert len(list(cache.iterdir())) == 1
