"""Workers and a scheduler as real processes: they join, end gracefully, are killed, stopped, unfit or refused."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.testing.certificates import Authority
from scripts.testing.clusters import PATIENCE_SECONDS
from scripts.testing.machine import Said
from scripts.testing.small_layers import SmallLayers
from scripts.testing.world import World
from tests.cluster.processes import KEYS, TRUST, Commands
from vstore.build import BUILDER
from vstore.build.recipe import LayerRecipe
from vstore.cluster.dask_settings import configure_dask
from vstore.cluster.resources import RELEASE_RESOURCE
from vstore.cluster.tasks import PROTOCOL, AnswerState, ClusterAnswer, ClusterTask
from vstore.cluster.worker.work import EVENTS, realise_node
from vstore.realise.execute.messages import NodeTask
from vstore.realise.model import Origin
from vstore.realise.plan.document import Node
from vstore.remote import Pusher, PushOptions, Signer, open_cache, verify_cache
from vstore.store import Store
from vstore.target import Target

pytestmark = pytest.mark.slow


@dataclass
class Scene:
    """The commands, the address of a running scheduler, and a client's layers."""

    commands: Commands
    layers: SmallLayers
    scheduler: str

    @property
    def cache(self) -> str:
        return (self.commands.folder / "cache").as_uri()

    def task(self, recipe: LayerRecipe) -> ClusterTask:
        """A task over the interpreter, for which everything is in the cache."""
        store, wanted = self.layers.store, self.layers.interpreter
        interpreter = store.realisation(wanted.digest)
        assert interpreter is not None
        signer = Signer((KEYS["client"],), TRUST)
        pusher = Pusher(store, open_cache(self.cache), signer, PushOptions(), reporter=Said())
        pusher.push([interpreter, *recipe.sources])
        return ClusterTask(work=NodeTask(node=Node(recipe=recipe, objects={wanted.key: interpreter})), cache=self.cache)

    def control(self, name: str) -> Path:
        return self.commands.control / name

    def hold(self, name: str) -> Path:
        """Let the build of a layer wait until this file has gone."""
        self.control(f"{name}.wait").touch()
        return self.control(f"{name}.wait")

    def wait_started(self, name: str) -> None:
        self.commands.wait_for(self.control(f"{name}.started").exists)

    @contextmanager
    def client(self) -> Iterator[Any]:
        from distributed import Client

        configure_dask(log=False)
        client = Client(self.scheduler, timeout=PATIENCE_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
        with client:
            yield client


def submit(client: Any, task: ClusterTask, *below: Any) -> Any:
    wanted = {RELEASE_RESOURCE: 1, str(Target.host()): 1}
    return client.submit(realise_node, task.encode(), *below, key=task.key, resources=wanted, pure=False)


def answer(future: Any) -> ClusterAnswer:
    return ClusterAnswer.parse(future.result(timeout=PATIENCE_SECONDS))


def origin(found: ClusterAnswer) -> Origin:
    assert found.state == AnswerState.DONE, found.outcome.failure
    return found.outcome.result().origin


@pytest.fixture(scope="module")
def scene(realised: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    commands = Commands(tmp_path_factory.mktemp("scene"))
    try:
        _, address = commands.start_scheduler("--worker-ttl", "3s")
        with SmallLayers.opened(realised.copy(commands.folder / "world")) as layers:
            yield Scene(commands, layers, address)
    finally:
        commands.close()


@pytest.fixture
def one(scene: Scene) -> Iterator[subprocess.Popen[bytes]]:
    """A worker for one test."""
    process = scene.commands.start_worker("one", scene.scheduler, "--resource", "memory=4")
    yield process
    process.kill()
    process.wait()


def test_a_worker_joins_builds_and_tells_of_it(scene: Scene, one: subprocess.Popen[bytes]) -> None:
    offers = f"key:one=1, {Target.host()}=1, memory=4, vstore-{PROTOCOL}-{BUILDER}=1"
    assert f"worker one joined {scene.scheduler}: 1 job, offers {offers}\n" == scene.commands.log("one")
    task, events = scene.task(scene.layers.layer("joins")), list[Mapping[str, str]]()
    with scene.client() as client:
        client.subscribe_topic(EVENTS, lambda event: events.append(event[1]))
        assert origin(answer(submit(client, task))) == Origin.BUILT
        scene.commands.wait_for(lambda: len(events) == 5)
    assert [one["state"] for one in events] == ["started", "fetching", "building", "pushing", "done"]
    assert {(one["key"], one["name"], one["worker_name"]) for one in events} == {(task.key, "joins", "one")}


def test_a_scheduler_has_as_many_connections_as_the_system_allows(scene: Scene) -> None:
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4096))"
    file = scene.commands.folder / "few.json"
    process = scene.commands.run("few", "scheduler", "--port", "0", "--scheduler-file", str(file), PATCH=few)
    scene.commands.wait_for(file.exists, process)
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    process.kill()
    assert re.search(r"Max open files +4096 +4096 ", limits)


def test_a_name_is_that_of_one_worker(scene: Scene, one: subprocess.Popen[bytes]) -> None:
    second = scene.commands.run_worker("two", scene.scheduler, "--name", "one")
    assert second.wait(PATIENCE_SECONDS) == 2
    assert "the scheduler has a worker one already" in scene.commands.log("two")


def test_a_worker_ends_gracefully(scene: Scene, one: subprocess.Popen[bytes]) -> None:
    """The running node ends there, the waiting one is given to another worker, and both answers arrive."""
    runs, waits = scene.layers.layer("runs"), scene.layers.layer("waits")
    held = scene.hold("runs")
    with scene.client() as client:
        first = submit(client, scene.task(runs))
        scene.wait_started("runs")
        second = submit(client, scene.task(waits))
        two = scene.commands.start_worker("two", scene.scheduler)
        one.send_signal(signal.SIGTERM)
        assert answer(second).worker == "two"
        assert one.poll() is None
        held.unlink()
        assert (answer(first).worker, origin(answer(first))) == ("one", Origin.BUILT)
        assert one.wait(PATIENCE_SECONDS) == 0
    assert "worker one has ended" in scene.commands.log("one")
    two.kill()


def test_a_second_signal_ends_a_worker_at_once(scene: Scene, one: subprocess.Popen[bytes]) -> None:
    held = scene.hold("long")
    with scene.client() as client:
        future = submit(client, scene.task(scene.layers.layer("long")))
        scene.wait_started("long")
        one.send_signal(signal.SIGINT)
        scene.commands.wait_for(lambda: "takes no more tasks" in scene.commands.log("one"), one)
        one.send_signal(signal.SIGTERM)
        assert one.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM
        future.release()
    held.unlink()


def test_running_nodes_have_so_much_time(scene: Scene) -> None:
    process = scene.commands.start_worker("one", scene.scheduler, "--drain-timeout", "1s")
    held = scene.hold("longer")
    with scene.client() as client:
        future = submit(client, scene.task(scene.layers.layer("longer")))
        scene.wait_started("longer")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
        assert "1 node not done after 1 s" in scene.commands.log("one")
        held.unlink()
        two = scene.commands.start_worker("two", scene.scheduler)
        assert answer(future).worker == "two"
    two.kill()


@pytest.mark.parametrize("point", ["pull-unpacked", "push-uploaded", "push-described"])
def test_a_killed_worker_leaves_nothing_but_garbage(scene: Scene, point: str, tmp_path: Path) -> None:
    """Its node is done by another, the cache is sound, and a collection empties its store."""
    changes = {"VSTORE_FAULT": f"{point}:1:kill", "TMPDIR": str(tmp_path)}
    victim = scene.commands.start_worker("three", scene.scheduler, **changes)
    task = scene.task(scene.layers.layer(f"killed-{point}"))
    with scene.client() as client:
        future = submit(client, task)
        assert victim.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        assert not list(tmp_path.iterdir())
        two = scene.commands.start_worker("two", scene.scheduler)
        found = answer(future)
        assert found.worker == "two" and origin(found) == Origin.BUILT
    two.kill()
    assert found.realisation is not None
    with Store.open(scene.commands.folder / "three") as store:
        count, problems = verify_cache(store, open_cache(scene.cache), contents=False, trust=TRUST, reporter=Said())
        assert count and not problems
    command = scene.commands.run("gc", "--root", str(scene.commands.folder / "three"), "gc")
    assert command.wait(PATIENCE_SECONDS) == 0, scene.commands.log("gc")
    with Store.open(scene.commands.folder / "three") as store:
        left = [one for one in store.layout.tmp.iterdir() if one != store.layout.trash]
        assert not list(store.objects.all()) and not left and not list(store.layout.store.iterdir())


def test_a_stopped_worker_is_lost(scene: Scene, one: subprocess.Popen[bytes]) -> None:
    scene.hold("stopped")
    with scene.client() as client:
        future = submit(client, scene.task(scene.layers.layer("stopped")))
        scene.wait_started("stopped")
        one.send_signal(signal.SIGSTOP)
        scene.control("stopped.wait").unlink()
        two = scene.commands.start_worker("two", scene.scheduler)
        assert answer(future).worker == "two"
    one.send_signal(signal.SIGCONT)
    assert one.wait(PATIENCE_SECONDS) == 16
    two.kill()


def test_a_worker_without_its_scheduler_ends(scene: Scene) -> None:
    """It pushes what it was building before."""
    scheduler, address = scene.commands.start_scheduler(name="lost")
    worker = scene.commands.start_worker("one", address)
    held, task = scene.hold("orphan"), scene.task(scene.layers.layer("orphan"))
    from distributed import Client

    configure_dask(log=False)
    client = Client(address, timeout=PATIENCE_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    submit(client, task)
    scene.wait_started("orphan")
    scheduler.kill()
    client.close(timeout=1)  # type: ignore[no-untyped-call]
    held.unlink()
    assert worker.wait(PATIENCE_SECONDS) == 16
    assert f"the scheduler at {address}: the connection was lost" in scene.commands.log("one")
    recipe = task.work.node.recipe.over(task.work.node.objects)
    assert open_cache(scene.cache).realisation(recipe.digest, TRUST) is not None


def test_a_worker_gives_a_silent_scheduler_up(scene: Scene) -> None:
    scheduler, address = scene.commands.start_scheduler(name="silent")
    patch = "import vstore.cluster.worker.service as w; w.SCHEDULER_SECONDS = 2.0; w.CONNECT_SECONDS = 1.0"
    worker = scene.commands.start_worker("one", address, PATCH=patch)
    scheduler.send_signal(signal.SIGSTOP)
    assert worker.wait(PATIENCE_SECONDS) == 16
    assert f"the scheduler at {address}: no answer for 2 s" in scene.commands.log("one")
    scheduler.kill()


UNFIT = {
    "no uv": (11, "uv", {"PATCH": "import uv; uv.find_uv_bin = lambda: '/nowhere/uv'"}),
    "a full disk": (
        6,
        "are free at",
        {"PATCH": "import vstore.cluster.worker.self_check as s; s.free_bytes = lambda p: 1 << 20"},
    ),
}


@pytest.mark.parametrize("fault", UNFIT)
def test_an_unfit_machine_does_not_join(scene: Scene, fault: str) -> None:
    code, said, changes = UNFIT[fault]
    process = scene.commands.run_worker("four", scene.scheduler, **changes)
    assert process.wait(PATIENCE_SECONDS) == code
    log = scene.commands.log("four")
    assert said in log and "joined" not in log and "Traceback" not in log
    assert log.startswith("error: ") and len(log.splitlines()) <= 2


def test_a_wrong_clock_does_not_join(scene: Scene) -> None:
    library = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
    if not library.exists():
        pytest.skip("libfaketime is not installed")
    process = scene.commands.run_worker("four", scene.scheduler, LD_PRELOAD=str(library), FAKETIME="+2d")
    assert process.wait(PATIENCE_SECONDS) == 16
    assert "s ahead of that of the scheduler" in scene.commands.log("four")


def test_a_store_without_a_key_does_not_join(scene: Scene, tmp_path: Path) -> None:
    process = scene.commands.run("five", "--root", str(tmp_path / "five"), "worker", scene.scheduler)
    assert process.wait(PATIENCE_SECONDS) == 2
    assert "vstore key generate" in scene.commands.log("five")


def test_a_full_file_system_does_not_join(scene: Scene, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(place)]).returncode:
        pytest.skip("this machine allows no mounts")
    try:
        process = scene.commands.run("small", "--root", str(place / "root"), "key", "generate", "small")
        assert process.wait(PATIENCE_SECONDS) == 0
        process = scene.commands.run("small", "--root", str(place / "root"), "worker", scene.scheduler)
        assert process.wait(PATIENCE_SECONDS) == 6
        assert "and a worker needs 256.0 MiB" in scene.commands.log("small")
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_worker_of_another_release_gets_nothing(scene: Scene) -> None:
    patch = "import vstore.cluster.worker.service as w; w.RELEASE_RESOURCE = 'vstore-1-1'"
    other = scene.commands.start_worker("four", scene.scheduler, PATCH=patch)
    with scene.client() as client:
        future = submit(client, scene.task(scene.layers.layer("release")))
        two = scene.commands.start_worker("two", scene.scheduler)
        assert answer(future).worker == "two"
    two.kill()
    other.kill()


def test_connections_are_encrypted_and_mutual(scene: Scene, tmp_path: Path) -> None:
    authority, strangers = Authority(tmp_path), tmp_path / "strangers"
    strangers.mkdir()

    def options(files: Any) -> tuple[str, ...]:
        return ("--tls-ca", str(files.ca), "--tls-cert", str(files.cert), "--tls-key", str(files.key))

    files = authority.issue("machine")
    scheduler, address = scene.commands.start_scheduler(*options(files), name="encrypted")
    assert address.startswith("tls://")
    worker = scene.commands.start_worker("one", address, *options(authority.issue("worker")))
    stranger = options(Authority(strangers).issue("stranger"))
    refused = [
        (scene.commands.run_worker("four", address, *stranger), 16, "no scheduler answers"),
        (scene.commands.run_worker("two", address), 2, "needs TLS files"),
        (scene.commands.run_worker("three", address.replace("tls:", "tcp:")), 16, "no scheduler answers"),
    ]
    for (process, code, said), name in zip(refused, ("four", "two", "three"), strict=True):
        assert process.wait(PATIENCE_SECONDS) == code, scene.commands.log(name)
        assert said in scene.commands.log(name)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE_SECONDS) == 0
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(PATIENCE_SECONDS) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", "0.0.0.0"), "is not encrypted"),
        (("--dashboard", "0.0.0.0:8787"), "is for everybody who reaches it"),
        (("--dashboard", "8787"), "not the address of a dashboard"),
    ],
)
def test_what_other_machines_reach_is_refused(scene: Scene, options: tuple[str, ...], said: str) -> None:
    process = scene.commands.run("refused", "scheduler", "--port", "0", *options)
    assert process.wait(PATIENCE_SECONDS) == 2
    assert said in scene.commands.log("refused")


def test_the_file_of_somebody_else_stays(scene: Scene, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    process = scene.commands.run("refused", "scheduler", "--port", "0", "--scheduler-file", str(notes))
    assert process.wait(PATIENCE_SECONDS) == 2
    assert str(notes) in scene.commands.log("refused") and notes.read_text() == "mine"


def test_a_port_in_use_is_told(scene: Scene) -> None:
    process = scene.commands.run("refused", "scheduler", "--port", scene.scheduler.rpartition(":")[2])
    assert process.wait(PATIENCE_SECONDS) == 7
    assert "cannot listen on" in scene.commands.log("refused")
