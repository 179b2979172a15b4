"""Strangers at `vstore serve`: thousands of hostile requests, after which it holds no more than before and answers."""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from scripts.testing.machine import machine
from scripts.testing.memory import peak_mebibytes
from scripts.testing.servers import free_port, running
from vstore.digest import hash_bytes
from vstore.objects import StorePath
from vstore.remote.file_cache.layout import archive_key, object_key, realisation_key

LIMIT_BYTES = 1 << 20  # of packed archives
_OBJECTS = 12
_CLIENTS = 24
_SECONDS = 20.0

Ask = Callable[[random.Random, list[StorePath]], bytes]


def _request(line: str, *headers: str) -> bytes:
    return "\r\n".join([line, "Host: x", *headers, "", ""]).encode("latin-1", "replace")


def _made_up(chance: random.Random, _: list[StorePath]) -> bytes:
    digest = hash_bytes("made up", chance.randbytes(8))
    path = StorePath.make(digest, "nothing")
    key = chance.choice([archive_key(path), object_key(path), realisation_key(digest)])
    return _request(f"GET /{key} HTTP/1.0")


def _ranges(chance: random.Random, paths: list[StorePath]) -> bytes:
    def one() -> str:
        start, end = (chance.choice(["", str(chance.randrange(10 ** chance.randint(1, 30)))]) for _ in range(2))
        return f"{start}-{end}"

    wanted = ",".join(one() for _ in range(chance.choice([1, 2, 50, 400])))
    return _request(f"GET /{archive_key(chance.choice(paths))} HTTP/1.0", f"Range: bytes={wanted}"[:15000])


def _noise(chance: random.Random, _: list[StorePath]) -> bytes:
    return chance.randbytes(chance.choice([1, 100, 20_000]))


def _path(chance: random.Random, _: list[StorePath]) -> bytes:
    parts = ["..", "%2e%2e", "%00", "archives", "objects", "keys", "%2f", "\\", "a" * 3000, "%ff", "x.json", "\xe9"]
    return _request("GET /" + "/".join(chance.choices(parts, k=chance.randint(1, 5))) + " HTTP/1.0")


def _method(chance: random.Random, paths: list[StorePath]) -> bytes:
    method = chance.choice(["POST", "PUT", "DELETE", "CONNECT", "TRACE", "HEAD", "OPTIONS", "FOO"])
    length = chance.choice(["0", "-1", "9" * 30, "1000000", "x"])
    body = bytes(chance.choice([0, 100_000]))
    return _request(f"{method} /{archive_key(chance.choice(paths))} HTTP/1.1", f"Content-Length: {length}") + body


def _head(chance: random.Random, _: list[StorePath]) -> bytes:
    lines = [f"X-{number}: {'y' * chance.choice([1, 1000])}" for number in range(chance.choice([1, 10, 400]))]
    return _request("GET /healthz HTTP/1.1", *lines)[: chance.choice([50, 500, 100_000])]


def _honest(chance: random.Random, paths: list[StorePath]) -> bytes:
    path = chance.choice(paths)
    return _request(f"GET /{chance.choice([archive_key, object_key])(path)} HTTP/1.0")


ASKS: tuple[Ask, ...] = (_made_up, _ranges, _noise, _path, _method, _head, _honest)


def _ask(port: int, data: bytes, chance: random.Random) -> str:
    """The status that came; sometimes the client goes away early, or resets the connection."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(data)
        manner = chance.random()
        if manner < 0.1:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return "left"
        client.settimeout(0.5 if manner < 0.6 else 10)
        found = client.recv(1 << 16)
        while manner > 0.3 and client.recv(1 << 16):
            pass
        return found[9:12].decode("latin-1")
    return "cut"


def strangers(work: Path, *, requests: int, seed: int) -> dict[str, object]:
    """Let them ask; an AssertionError says what was held or grew. Counts of what was answered."""
    root, chance = work / "root", random.Random(seed)
    with machine(root) as builder:
        paths = [builder.add(f"object-{number}", {"a": chance.randbytes(200_000)}) for number in range(_OBJECTS)]
    (root / "config.toml").write_text(f"[archives]\nmax_size = {LIMIT_BYTES}\n")
    port = free_port()
    command = [sys.executable, "-m", "vstore", "--root", str(root), "serve", "--port", str(port), "-v"]
    with (work / "log").open("wb") as log, running(command, port, stdout=log, stderr=log) as process:
        asks = [(chance.choice(ASKS)(chance, paths), random.Random(chance.random())) for _ in range(requests)]
        with ThreadPoolExecutor(_CLIENTS) as pool:
            answers = Counter(pool.map(lambda one: _ask(port, *one), asks))
        deadline = time.monotonic() + _SECONDS  # what clients left unfinished is cut after 5
        while (held := _held(root, process)) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert held == [], held
        peak = peak_mebibytes(process.pid)
        assert peak < 300, peak
        for path in paths:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{archive_key(path)}", timeout=30) as answer:
                assert len(answer.read()) > 200_000
    text = (work / "log").read_text()
    assert "Traceback" not in text, text[:5000]
    assert len(text) < 20_000 + 100 * requests, len(text)
    return {"requests": requests, "answers": dict(sorted(answers.items())), "peak MiB": peak}


def _held(root: Path, process: subprocess.Popen[bytes]) -> list[str]:
    """List what the server still holds of requests that are over: temp roots, files, archives, descriptors."""
    found = [str(file) for folder in ("gcroots/temp", "tmp", "locks") for file in _waiting(root / folder)]
    stored = sum(file.stat().st_size for file in (root / "cache/archives").iterdir())
    found += [f"{stored} bytes of archives"] if stored > LIMIT_BYTES else []
    descriptors = len(os.listdir(f"/proc/{process.pid}/fd")) if Path("/proc/self/fd").is_dir() else 0
    return found + ([f"{descriptors} descriptors"] if descriptors > 100 else [])


def _waiting(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if "pack" in file.name or folder.name == "temp"]
