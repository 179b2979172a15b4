"""A store offered over HTTP is a cache like any other."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.remote.servers import free_port, running
from tests.remote.small import KEY, hasty, machine
from tests.store.trees import recipe
from vstore.objects import StorePath
from vstore.remote import write_key
from vstore.remote.layout import archive_key, object_key
from vstore.store import Store


@dataclass
class Served:
    url: str
    paths: tuple[StorePath, StorePath, StorePath]

    def get(self, key: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(f"{self.url}/{key}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    pytest.importorskip("uvicorn")
    with machine(tmp_path / "builder") as builder:
        paths = builder.add_three()
    write_key(tmp_path / "builder" / "keys", KEY)
    port = free_port()
    command = [sys.executable, "-m", "vstore", "--root", str(tmp_path / "builder"), "serve", "--port", str(port)]
    with running(command, port, cwd=Path(__file__).parents[2]):
        yield Served(f"http://127.0.0.1:{port}", paths)


def test_a_machine_substitutes_from_it(served: Served, tmp_path: Path) -> None:
    with machine(tmp_path / "client") as client:
        found = client.substituter(hasty(served.url)).substitute(recipe("top"))
        assert found is not None
        assert client.said.warnings == []
        assert all(client.store.is_valid(path) for path in served.paths)


def test_ranges_and_etags(served: Served) -> None:
    key = archive_key(served.paths[0])
    _, headers, whole = served.get(key)
    status, part_headers, part = served.get(key, Range="bytes=10-19")
    assert (status, part) == (206, whole[10:20])
    assert part_headers["content-range"] == f"bytes 10-19/{len(whole)}"
    assert headers["etag"]
    _, headers, _ = served.get(object_key(served.paths[0]))
    assert served.get(object_key(served.paths[0]), **{"If-None-Match": headers["etag"]})[0] == 304


def test_what_is_not_there_is_404_and_nothing_else_is_served(served: Served) -> None:
    gone = StorePath(served.paths[0].short[::-1], "nothing")
    for key in (object_key(gone), archive_key(gone), "realisations/ab/nonsense.json", "index.sqlite", "keys/x",
                "archives/ab/..%2f..%2findex.sqlite", "archives/ab/%2e%2e"):  # fmt: skip
        assert served.get(key)[0] == 404, key


def test_health_metrics_and_many_at_once(served: Served) -> None:
    assert served.get("healthz")[2] == b"ok\n"
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda n: served.get(object_key(served.paths[n % 3]))[0], range(300)))
    assert answers == [200] * 300
    text = served.get("metrics")[2].decode()
    assert "vstore_objects 3\n" in text
    assert 'vstore_requests_total{kind="object",status="200"} 300\n' in text


def test_the_store_is_not_locked_while_it_is_served(served: Served, tmp_path: Path) -> None:
    with Store.open(tmp_path / "builder") as store:
        assert store.is_valid(served.paths[0])
