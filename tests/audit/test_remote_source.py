"""A database of advisories behind a URL of a real web server."""

from __future__ import annotations

import os
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts.testing.advisories import advisory, fixed_in, write_database
from scripts.testing.world import World
from vstore.audit.database import AdvisoryDatabase
from vstore.audit.remote_source import RemoteSource
from vstore.errors import CacheError, UsageError


class Site(ThreadingHTTPServer):
    """Serves a folder, and notes the requests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        assert isinstance(self.server, Site)
        self.server.asked.append(f"{self.command} {self.path}")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "site").mkdir()
    with Site(tmp_path / "site") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def publish(site: Site, work: Path, *documents: dict[str, object]) -> None:
    """Put an archive of these advisories on the site, as old as their number says."""
    work.mkdir()
    with zipfile.ZipFile(site.folder / "all.zip", "w") as archive:
        for file in write_database(work / "files", *documents).iterdir():
            archive.write(file, file.name)
    os.utime(site.folder / "all.zip", (len(documents), len(documents)))


def test_an_archive_is_fetched_once_and_again_when_it_has_changed(site: Site, tmp_path: Path) -> None:
    publish(site, tmp_path / "one", advisory("X-1", "one", *fixed_in("2")))
    source, kept = RemoteSource(f"{site.url}/all.zip"), tmp_path / "kept"
    for _ in range(2):
        found = AdvisoryDatabase.open(source, kept)
        assert [one.id for one in found.advisories("one")] == ["X-1"]
    assert sum(asked.startswith("GET") for asked in site.asked) == 1
    publish(site, tmp_path / "two", advisory("X-1", "one", *fixed_in("2")), advisory("X-2", "two", *fixed_in("2")))
    assert AdvisoryDatabase.open(source, kept).packages == ("one", "two")
    assert sum(asked.startswith("GET") for asked in site.asked) == 2


def test_what_is_not_there_is_one_line(site: Site) -> None:
    with pytest.raises(UsageError, match=rf"no database of advisories at {site.url}/none.zip"):
        AdvisoryDatabase.open(RemoteSource(f"{site.url}/none.zip"))


def test_a_server_that_does_not_answer_is_one_line() -> None:
    with pytest.raises(CacheError, match=r"127\.0\.0\.1:1"):
        AdvisoryDatabase.open(RemoteSource("http://127.0.0.1:1/all.zip"))


def test_the_command_asks_the_url_that_is_given(realised: World, site: Site, tmp_path: Path) -> None:
    publish(site, tmp_path / "one", advisory("X-1", "midlib", *fixed_in("99")))
    found = realised.json("audit", "--database", f"{site.url}/all.zip", code=14)
    assert [one["id"] for one in found["vulnerabilities"]] == ["X-1"]
    assert found["database"] == f"{site.url}/all.zip"
    assert site.asked and all(asked.endswith(" /all.zip") for asked in site.asked)
