"""A cluster whose processes are killed, with a worker that lies: the objects are those of one machine."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from scripts.testing.clusters import TestCluster, give_keys, set_trust
from scripts.testing.machine import Said
from scripts.testing.mirror import SERIES
from scripts.testing.platforms import HOST, Platforms, make_platforms
from scripts.testing.wheels import make_wheel
from vstore.errors import ClusterError
from vstore.objects import ObjectInfo, StorePath
from vstore.remote import open_cache, trust_of, verify_cache
from vstore.store import Store
from vstore.target import Target

TARGETS = (HOST, *(one for one in (Target.LINUX_AARCH64, Target.MACOSX_ARM64) if one != HOST))
MOST_RUNS = 5
LIMIT_SECONDS = 60.0  # that a client waits while nothing happens
SETTLING_SECONDS = 30.0  # that a client may need beside, to start, to plan and to say what it did
LIAR = "liar"
_PAUSE_SECONDS = 0.05
CLIENTS = ("client", "client-2")  # the keys of the client: what it pushes takes as many as builds
_LIE = "1 of the 2 required keys have signed it"  # an object that nobody else builds
RUNTIME = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{series}"
requirements = ["low"]
platforms = [{targets}]
"""
LAYER = """
[[{kind}s]]
name = "{name}"
{place}
requirements = [{requirements}]
"""


@dataclass(frozen=True)
class Chaos:
    """How much is built, and how often it is disturbed."""

    specs: int = 10
    layers: int = 20  # of each spec, beside the runtime
    targets: tuple[Target, ...] = TARGETS
    workers: int = 8
    worker_kills: int = 50
    client_kills: int = 5
    lies: bool = True  # whether one of the workers lies, and two keys must sign
    seed: int = 1

    @property
    def require(self) -> int:
        """How many keys must sign."""
        return 2 if self.lies else 1


def make_specs(folder: Path, chaos: Chaos) -> tuple[Platforms, list[Path]]:
    """Make specs that share a runtime and nothing else: one framework in five layers, the others applications."""
    world = make_platforms(folder, chaos.targets[1:])
    head = RUNTIME.format(series=SERIES, targets=", ".join(f'"{one}"' for one in chaos.targets))
    specs = []
    for number in range(chaos.specs):
        place = folder / "project" / f"s{number}"
        place.mkdir()
        frameworks = [f"f{number}-{one}" for one in range(max(1, chaos.layers // 5))]
        applications = [f"a{number}-{one}" for one in range(chaos.layers - len(frameworks))]
        text = head
        for name in frameworks:
            package = f"lib-{name}"
            make_wheel(world.wheels, package, "1.0", {f"lib_{name.replace('-', '_')}.py": f"NAME = {name!r}\n"})
            text += LAYER.format(kind="framework", name=name, place='runtime = "python"', requirements=f'"{package}"')
        for position, name in enumerate(applications):
            module = f"{name.replace('-', '_')}.py"
            (place / module).write_text(f"print({name!r})\n")
            below = frameworks[position % len(frameworks)]
            lines = f'launch_module = "{module}"\nframeworks = ["{below}"]'
            text += LAYER.format(kind="application", name=name, place=lines, requirements="")
        (place / "spec.toml").write_text(text)
        specs.append(place / "spec.toml")
    return world, specs


def words(world: Platforms, specs: list[Path], chaos: Chaos) -> tuple[str, ...]:
    """Return the words of a call that realises all specs for all platforms."""
    platforms = [word for target in chaos.targets for word in ("--platform", str(target))]
    return ("realise", *map(str, specs), *platforms, "--local-wheels", str(world.wheels), "--no-index")


def objects_of(documents: list[Mapping[str, Any]]) -> dict[str, str]:
    """Return the store path of each layer and stack that `realise` reports, by name and target."""
    found: dict[str, str] = {}
    for document in documents:
        target = document["target"]
        found |= {f"{layer['name']} {target}": layer["path"] for layer in document["layers"]}
        found[f"{document['profile']} {target}"] = document["stack"]
    return found


class Killer:
    """Kills random workers while the block runs, and starts each that has ended, as a service manager does.

    A worker is killed whenever the cluster has done another part of the builds, of which there are about `expected`.
    """

    def __init__(
        self, cluster: TestCluster, names: list[str], chance: random.Random, kills: int, expected: int
    ) -> None:
        self.kills = 0
        self._cluster = cluster
        self._names = names
        self._chance = chance
        self._after = sorted(chance.sample(range(expected), kills))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_PAUSE_SECONDS):
            joined = [name for name in self._names if self._cluster.has_joined(name)]
            if self._after and self._after[0] <= len(self._cluster.builds()) and joined:
                del self._after[0]
                self._cluster.kill(self._chance.choice(joined))
                self.kills += 1
            for name in self._names:
                if self._cluster.process(name).poll() is not None:
                    self._cluster.start_worker(name)


@dataclass
class Call:
    """A running call of `realise --on`, and what it says: the events of nodes, and other lines."""

    process: subprocess.Popen[str]
    done: int = 0
    lines: list[str] = field(default_factory=list)
    longest_wait_seconds: float = 0.0

    def follow(self, *, kill_after: int | None = None) -> int:
        """Read what it says to the end; return its exit code. Kill it after that many nodes are done."""
        assert self.process.stderr is not None
        said_at = time.monotonic()
        for line in self.process.stderr:
            self.longest_wait_seconds = max(self.longest_wait_seconds, time.monotonic() - said_at)
            said_at = time.monotonic()
            if not line.startswith("{"):
                self.lines.append(line)
            elif json.loads(line)["state"] == "done":
                self.done += 1
                if self.done == kill_after:
                    self.process.kill()
        return self.process.wait()


def disturbed_cluster(folder: Path, chaos: Chaos) -> dict[str, object]:
    """Realise specs on a cluster while its processes are killed. AssertionError if anything is lost or wrong."""
    world, specs = make_specs(folder / "world", chaos)
    started = time.monotonic()
    expected = objects_of(world.json(*words(world, specs, chaos)))
    here_seconds = time.monotonic() - started
    names = [*(f"w{number}" for number in range(chaos.workers - chaos.lies)), *[LIAR] * chaos.lies]
    cluster = TestCluster(folder / "cluster", jobs=1)
    client = Platforms(world.folder, cluster.root("client"))
    _give_keys(cluster, names, chaos.require)
    if chaos.lies:
        (cluster.control / f"{LIAR}.lies").touch()
    command = client.command("--json", *words(client, specs, chaos), "--locked", "--fetch", "none")
    command += ["--timeout", f"{LIMIT_SECONDS:g}", "--on", str(cluster.file), "--cache", str(cluster.cache)]
    output = folder / "stacks.json"
    builds = len(_layers(expected)) * chaos.require
    chance = random.Random(chaos.seed)
    try:
        cluster.start_scheduler()
        cluster.start_workers(*names)
        started = time.monotonic()
        with Killer(cluster, names, chance, chaos.worker_kills, builds * 9 // 10) as killer:
            calls = _call_again_and_again(client, command, output, chaos, len(expected), chance)
        seconds = time.monotonic() - started
    finally:
        cluster.close()
    found = objects_of(json.loads(output.read_text())["stacks"])
    assert found == expected, {name: path for name, path in expected.items() if found.get(name) != path}
    assert killer.kills == chaos.worker_kills, f"{killer.kills} workers were killed"
    _check_cache(world, client, cluster, expected)
    return {
        "objects": len(expected),
        **_count_builds(cluster, chaos),
        "workers killed": killer.kills,
        **_count_calls(calls, chaos),
        "seconds on the cluster": round(seconds),
        "seconds on one machine": round(here_seconds),
    }


def _call_again_and_again(
    client: Platforms, command: list[str], output: Path, chaos: Chaos, nodes: int, chance: random.Random
) -> list[Call]:
    """Call the client and kill it, as often as that is wanted, then call it until it ends well."""
    calls: list[Call] = []

    def call(*, kill_after: int | None = None) -> int:
        with output.open("w") as file:
            environment, pipe = client.environment(), subprocess.PIPE
            calls.append(Call(subprocess.Popen(command, stdout=file, stderr=pipe, text=True, env=environment)))
            return calls[-1].follow(kill_after=kill_after)

    for _ in range(chaos.client_kills):
        code = call(kill_after=chance.randint(1, nodes // (chaos.client_kills + 1)))
        assert code == -signal.SIGKILL, "".join(calls[-1].lines)[-3000:]
    while (code := call()) == ClusterError.exit_code and len(calls) < chaos.client_kills + MOST_RUNS:
        pass
    assert code == 0, "".join(calls[-1].lines)[-3000:]
    return calls


def _count_calls(calls: list[Call], chaos: Chaos) -> dict[str, object]:
    """Check that no client was silent for longer than its limit, and that the liar was named."""
    longest_seconds = max(one.longest_wait_seconds for one in calls)
    assert longest_seconds < LIMIT_SECONDS + SETTLING_SECONDS, f"a client said nothing for {longest_seconds:.0f} s"
    if chaos.lies:
        assert any(f"worker {LIAR} on " in line for one in calls for line in one.lines), "nobody named the liar"
    return {
        "clients killed": chaos.client_kills,
        "calls to the end": len(calls) - chaos.client_kills,
        "longest silence of a client in seconds": round(longest_seconds, 1),
    }


def _count_builds(cluster: TestCluster, chaos: Chaos) -> dict[str, object]:
    """Check that honest workers built at most one layer in twenty, or one for each kill, more often than required."""
    builds = Counter(recipe for worker, recipe in cluster.builds() if worker != LIAR)
    beyond = sum(max(0, number - chaos.require) for number in builds.values())
    assert beyond <= max(builds.total() / 20, chaos.worker_kills), f"{beyond} of {builds.total()} builds were in vain"
    return {
        "layers": len(builds),
        "builds of honest workers": builds.total(),
        "builds of the liar": len(cluster.builds()) - builds.total(),
        "builds beyond those required": beyond,
    }


def _layers(objects: Mapping[str, str]) -> set[str]:
    """Return the paths of layers, without those of stacks."""
    return {path for path in objects.values() if not path.endswith("-stack")}


def _give_keys(cluster: TestCluster, names: list[str], require: int) -> None:
    """Give the client as many keys as must sign, and each worker one."""
    machines = [*CLIENTS[:require], *names]
    keys = give_keys(map(cluster.root, machines))
    for other in CLIENTS[1:require]:
        for file in (cluster.root(other) / "keys").iterdir():
            file.rename(cluster.root("client") / "keys" / file.name)
    for name in ("client", *names):
        set_trust(cluster.root(name), keys, require=require)


def _check_cache(world: Platforms, client: Platforms, cluster: TestCluster, expected: Mapping[str, str]) -> None:
    """Compare the records with the objects of one machine, and every byte of the cache with the records."""
    cache = open_cache(str(cluster.cache))
    with Store.open(client.root) as store:
        trust = trust_of(store.config)
        _, found = verify_cache(store, cache, contents=True, trust=trust, reporter=Said())
        problems = [one for one in found if not (_LIE in one.problem and Path(one.key).stem not in expected.values())]
        assert not problems, problems[:3]
    with Store.open(world.root) as store:
        for path in map(StorePath.parse, expected.values()):
            record, info = cache.object(path, trust), store.objects.info(path)
            assert record is not None and isinstance(info, ObjectInfo), path
            assert (record.digest, record.references) == (info.digest, info.references), path
