"""Measures what a cache far away costs: `realise` of a stack of four layers, each on the one before, from nginx.

    python -m scripts.bench.latency [ROUNDS]

Between them stands a proxy that holds every answer back. All layers are tiny, so what grows with the delay is how
often one question waited for the answer to another. Prints rows of Markdown; needs nginx.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from scripts.testing.fleet import Fleet, make_fleet, origins, realise
from scripts.testing.servers import nginx
from scripts.testing.world import VERSION, make_world
from vstore.target import Target

DELAYS = (0.0, 0.05, 0.2)
CHAIN = f"""\
[[runtimes]]
name = "python"
python_implementation = "cpython@{VERSION}"
requirements = ["low"]
platforms = ["{Target.host()}"]

[[frameworks]]
name = "mid"
runtime = "python"
requirements = ["midlib==1.0"]

[[frameworks]]
name = "side"
frameworks = ["mid"]
requirements = ["ns-side"]

[[applications]]
name = "hello"
launch_module = "hello.py"
frameworks = ["side"]
requirements = ["ns-app"]
"""


@contextmanager
def delayed(url: str, seconds: float) -> Iterator[str]:
    """The same server from afar: half of the delay on the way there, half on the way back."""
    at, loop = urlsplit(url), asyncio.new_event_loop()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            loop.call_later(seconds / 2, writer.write, data)
        loop.call_later(seconds / 2, writer.close)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_connection(at.hostname, at.port)
        with suppress(asyncio.CancelledError):
            await asyncio.gather(pump(reader, there), pump(back, writer), return_exceptions=True)

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))


def seconds_of(fleet: Fleet, place: Path, url: str) -> float:
    machine = fleet.machine(place)
    started = time.monotonic()
    result = realise(machine, "--cache", url)
    seconds = time.monotonic() - started
    assert origins(result) == {"substituted"}, result
    return seconds


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory(prefix="vstore-bench-") as temporary:
        place = Path(temporary)
        builder = make_world(place / "builder")
        builder.spec.write_text(CHAIN)
        fleet = make_fleet(place, builder)
        builder.run("push", f"file://{place}/cache", "project")
        print(
            f"load {os.getloadavg()[0]:.1f}; medians of {rounds}\n\n| delay | realise | waits in a row |\n|---|---|---|"
        )
        with nginx(place / "nginx", place) as url:
            base = 0.0
            for delay in DELAYS:
                with delayed(url, delay) as far:
                    taken = [seconds_of(fleet, place / f"m{delay}-{n}", f"{far}/cache") for n in range(rounds)]
                seconds = statistics.median(taken)
                base = base or seconds
                waits = f"{(seconds - base) / delay:.1f}" if delay else ""
                print(f"| {delay * 1000:.0f} ms | {seconds:.2f} s | {waits} |", flush=True)


if __name__ == "__main__":
    main()
