"""Channels of clusters: workers add signatures to a number whose stack enough keys state, and to no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.testing.small_layers import SmallLayers
from scripts.testing.world import World
from tests.cluster.in_process import BOTH, CLIENT, ONE, TRUST, TWO, Client, InProcess, run_of, worker
from vstore.build.recipe import Recipe
from vstore.cluster.client.channels import move_channel
from vstore.cluster.client.connection import ClusterClient
from vstore.cluster.client.executor import DaskExecutor
from vstore.cluster.tasks import ChannelTask, ClusterAnswer
from vstore.cluster.worker.channels import check_complete, sign_on
from vstore.cluster.worker.work import NodeWorker
from vstore.errors import CacheError, ClusterError, UsageError
from vstore.objects import StorePath
from vstore.remote import Cache, PublishedChannel, SecretKey, Signer, open_cache, publish_channel, read_channel
from vstore.remote.file_cache.layout import channel_key
from vstore.remote.records.model import Realisation, add_signatures
from vstore.store import StoreLayout
from vstore.values import replace

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def client(realised: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("channels")
    with SmallLayers.opened(realised.copy(folder / "client")) as layers:
        yield Client(layers, folder)


@pytest.fixture(scope="module")
def workers(client: Client) -> dict[str, NodeWorker]:
    """Two workers that require two keys."""
    made = {key.name: worker(client, key) for key in (ONE, TWO)}
    for name in made:
        with StoreLayout(client.folder / name).config_file.open("a") as file:
            file.write("require = 2\n")
    return made


def build(workers: dict[str, NodeWorker], client: Client, recipe: Recipe, *below: list[str]) -> list[str]:
    """The answers of both workers, for a node over the answers of those below."""
    signed = [client.task(recipe, signer=name) for name in workers]
    flat = [answer for answers in below for answer in answers]
    return [workers[task.signer or ""].realise(task.encode(), flat).encode() for task in signed]


def state(cache: Cache, answers: list[str]) -> Realisation:
    """State the object that the answers agree on, and return its record."""
    first, *others = (found.realisation for found in map(ClusterAnswer.parse, answers) if found.realisation)
    record = add_signatures(first, *(signature for one in others for signature in one.signatures))
    cache.writer.add_realisation(record, Signer((), TRUST), lambda key, fault: None)
    return record


@pytest.fixture(scope="module")
def stack(client: Client, workers: dict[str, NodeWorker]) -> list[str]:
    """The answers for a stack that both workers built, and that nobody has stated."""
    low = client.layers.layer("low")
    return build(workers, client, client.layers.stack(low), build(workers, client, low))


def publish(cache: Cache, name: str, path: StorePath, key: SecretKey = CLIENT) -> PublishedChannel:
    signer, now = Signer((key,), TRUST), datetime.now(UTC)
    return publish_channel(cache, name, check_complete(cache, path, TRUST), signer=signer, lifetime=DAY, now=now)


def test_a_worker_signs_what_enough_keys_state_and_a_known_key_has_signed(
    client: Client, workers: dict[str, NodeWorker], stack: list[str]
) -> None:
    cache = open_cache(client.url)
    built = ClusterAnswer.parse(stack[0]).realisation
    assert built is not None
    made = publish(cache, "signed", built.path).record
    task = ChannelTask(channel=made, recipe=built.recipe, cache=client.url, signer="one")
    with pytest.raises(CacheError, match=f"2 trusted keys must state {built.path}"):
        sign_on(workers["one"], task)
    cache.writer.add_realisation(built, Signer((), TRUST), lambda key, fault: None)
    with pytest.raises(CacheError, match="2 trusted keys must state"):  # one did
        sign_on(workers["one"], task)
    state(cache, stack)
    with pytest.raises(CacheError, match="no trusted key has signed number 2"):
        sign_on(workers["one"], replace(task, channel=replace(made, number=2)))
    stranger = publish(cache, "strange", built.path, SecretKey("stranger", b"s" * 32)).record
    with pytest.raises(CacheError, match="no trusted key has signed number 1"):
        sign_on(workers["one"], replace(task, channel=stranger))
    with pytest.raises(UsageError, match="protocol 0"):
        ChannelTask.parse(task.encode().replace('"protocol":1', '"protocol":0'))
    sign_on(workers["one"], ChannelTask.parse(task.encode()))
    found = cache.channel("signed", TRUST)
    assert found is not None and [one.key for one in found.signatures] == ["client", "one"]


def test_a_channel_moves_once_enough_keys_have_signed(
    client: Client, workers: dict[str, NodeWorker], stack: list[str]
) -> None:
    cache = open_cache(client.url)
    record = state(cache, stack)
    trust = replace(BOTH, keys=(ONE.public, TWO.public))  # the client's own key does not count

    def move(lost: tuple[str, ...] = ()) -> PublishedChannel:
        connect = InProcess(workers, lost=lost).connected_here
        return move_channel(run_of(client, trust), connect, "moved", record.path, record.recipe, DAY)

    with pytest.raises(ClusterError, match="moved was not moved: 1 of the 2 required keys have signed it") as caught:
        move(lost=("two",))
    assert "worker two on h: it is lost" in caught.value.details
    with pytest.raises(CacheError, match="is refused"):
        read_channel(client.layers.store, cache, "moved", trust=trust, now=datetime.now(UTC))
    moved = move()
    assert moved.record.number == 1 and len(trust.signers(moved.record)) == 2
    assert read_channel(client.layers.store, cache, "moved", trust=trust, now=datetime.now(UTC)) == moved.record
    again = move_channel(run_of(client, trust), never, "moved", record.path, record.recipe, DAY)
    assert not again.changed and again.record == moved.record


def never() -> nullcontext[ClusterClient]:
    raise AssertionError("no worker is needed")


def test_what_two_keys_state_needs_no_worker(client: Client, workers: dict[str, NodeWorker]) -> None:
    low = client.layers.layer("both")
    record = state(open_cache(client.url), build(workers, client, low))
    executor = DaskExecutor(never, run_of(client))
    done = executor.run(client.layers.nodes(low)).done
    assert done[low.key].path == record.path and done[client.layers.interpreter.key].path == client.interpreter
    assert executor.found.cached.keys() == {low.key}


def test_a_channel_points_to_no_stack_that_the_cache_lacks_a_part_of(
    client: Client, workers: dict[str, NodeWorker]
) -> None:
    cache = open_cache(client.url)
    low = client.layers.layer("gone")
    record = state(cache, build(workers, client, client.layers.stack(low), build(workers, client, low)))
    part = next(path for path in check_complete(cache, record.path, TRUST).references if path.name.endswith("gone"))
    assert isinstance(part, StorePath)
    for file in Path(client.folder / "cache" / "archives").rglob(f"*{part}*"):
        file.unlink()
    with pytest.raises(CacheError, match="does not have all of"):
        move_channel(run_of(client, TRUST), never, "whole", record.path, record.recipe, DAY)
    assert not (client.folder / "cache" / channel_key("whole")).exists()


def test_who_requires_one_key_needs_no_worker(client: Client, stack: list[str]) -> None:
    record = state(open_cache(client.url), stack)
    assert move_channel(run_of(client, TRUST), never, "alone", record.path, record.recipe, DAY).changed
