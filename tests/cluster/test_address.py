"""Places to realise, and the addresses of schedulers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vstore.cluster.address import LocalProcesses, SchedulerAddress, is_loopback, parse_place
from vstore.errors import UsageError


@pytest.mark.parametrize(("text", "count"), [("local", None), ("local[1]", 1), ("local[16]", 16)])
def test_processes_of_this_machine(text: str, count: int | None) -> None:
    assert parse_place(text) == LocalProcesses(count=count)


@pytest.mark.parametrize("text", ["tcp://127.0.0.1:8786", "tls://[::1]:8786", "tls://scheduler.example:8786"])
def test_addresses(text: str) -> None:
    address = SchedulerAddress.parse(text)
    assert parse_place(text) == address and address.url == text
    assert address.is_encrypted == text.startswith("tls")
    assert address.is_loopback == ("example" not in text)


@pytest.mark.parametrize(
    "text",
    [
        "tcp://host",
        "http://host:1",
        "tcp://host:70000",
        "tcp://host:8786/x",
        "tls://:1",
        "local[0]",
        "local[x]",
        "local[",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_place(text)
    assert raised.value.hint and text in raised.value.message


def test_no_text_is_no_scheduler() -> None:
    with pytest.raises(UsageError, match="no scheduler given") as raised:
        parse_place("")
    assert raised.value.hint


def test_a_scheduler_file(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    with pytest.raises(UsageError, match="cannot be read"):
        parse_place(str(file))
    file.write_text(json.dumps({"type": "Scheduler", "address": "tcp://127.0.0.1:8786"}))
    assert parse_place(str(file)) == SchedulerAddress(url="tcp://127.0.0.1:8786")
    for text in ("", "[]", "{}", '{"address": 1}', "[" * 100_000):
        file.write_text(text)
        with pytest.raises(UsageError, match="not a scheduler file"):
            parse_place(str(file))


def test_loopback() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "host", "localhost.example", "")))
