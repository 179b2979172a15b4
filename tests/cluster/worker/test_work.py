"""What a worker does for a task, in this process: fetch, substitute or build, push, answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from scripts.testing.small_layers import SmallLayers
from scripts.testing.wheels import make_wheel
from scripts.testing.world import World
from tests.cluster.in_process import ONE, THREE, TRUST, TWO, Client, worker
from vstore import gc
from vstore.build import BUILDER
from vstore.build.recipe import LayerRecipe
from vstore.cluster.tasks import AnswerState, ClusterAnswer, ClusterTask
from vstore.cluster.worker.work import realise_node
from vstore.errors import UsageError
from vstore.lock import PinnedWheel
from vstore.objects import Kind, StorePath
from vstore.realise.execute.messages import NodeTask
from vstore.realise.model import Origin
from vstore.remote import Signer, Trust, open_cache
from vstore.remote.records.model import add_signatures
from vstore.remote.records.trust import sign
from vstore.store import Store, StoreLayout
from vstore.target import Target
from vstore.values import replace


@pytest.fixture(scope="module")
def client(realised: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client that all tests share, with layers of different names, as copies of interpreters take long."""
    folder = tmp_path_factory.mktemp("work")
    with SmallLayers.opened(realised.copy(folder / "client")) as layers:
        yield Client(layers, folder)


def layer_of(answer: ClusterAnswer) -> tuple[Origin, StorePath | None]:
    assert answer.outcome.failure is None, answer.outcome.failure
    assert answer.outcome.layer is not None
    return answer.outcome.layer.origin, answer.outcome.layer.path


def test_a_node_is_built_pushed_and_stated(client: Client) -> None:
    low = client.layers.layer("low0")
    mid = client.layers.layer("mid0", low)
    one, states = worker(client), list[str]()
    one.report = lambda event: states.append(event["state"])
    first = one.realise(client.task(low).encode(), [])
    assert (first.state, layer_of(first)[0]) == (AnswerState.DONE, Origin.BUILT)
    assert states == ["started", "fetching", "building", "pushing", "done"]
    assert first.worker == "one" and first.pushed_bytes > 0 and first.fetched_bytes > 0 and first.requests > 0

    second = one.realise(client.task(mid).encode(), [first.encode()])
    cache = open_cache(client.url)
    for answer in (first, second):
        record = answer.realisation
        assert record is not None and record.path == layer_of(answer)[1]
        assert TRUST.trusts(record) and answer.key == str(ONE.public)
        stated = cache.realisation(record.recipe, TRUST)
        assert stated is not None and stated.path == record.path and TRUST.trusts(stated)

    again = one.realise(client.task(mid).encode(), [first.encode()])
    assert layer_of(again) == (Origin.PRESENT, layer_of(second)[1]) and again.pushed_bytes == 0
    assert again.requests == 4  # realisation, object, size and end of the archive
    other = worker(client, TWO).realise(client.task(mid).encode(), [first.encode()])
    assert layer_of(other) == (Origin.SUBSTITUTED, layer_of(second)[1])
    assert other.realisation is not None and Trust(keys=(TWO.public,)).trusts(other.realisation)


def test_an_object_is_pushed_to_each_cache(client: Client, tmp_path: Path) -> None:
    low, one = client.layers.layer("low1"), worker(client)
    one.realise(client.task(low).encode(), [])
    other = (tmp_path / "other").as_uri()
    answer = one.realise(client.task(low, cache=other).encode(), [])
    origin, path = layer_of(answer)
    assert origin == Origin.PRESENT and path is not None
    assert open_cache(other).object(path, TRUST) is not None
    assert client.task(low, cache=other).key != client.task(low).key


def test_what_a_present_node_lacks_in_the_cache_is_pushed_again(client: Client) -> None:
    low, one = client.layers.layer("low11"), worker(client)
    first = one.realise(client.task(low).encode(), [])
    assert first.realisation is not None
    cache = open_cache(client.url)
    record = cache.object(first.realisation.path, TRUST)
    assert record is not None
    (client.folder / "cache" / cache.file(record).key).unlink()
    again = one.realise(client.task(low).encode(), [])
    assert layer_of(again)[0] == Origin.PRESENT and again.pushed_bytes > 0


def test_the_object_that_another_builder_stated_before_counts(client: Client) -> None:
    """The worker has built the node for another cache, and reads in this one after its push."""
    low, other, elsewhere = client.layers.layer("stated"), client.layers.layer("other"), f"{client.url}-elsewhere"
    one, two = worker(client), worker(client, TWO)
    own = one.realise(client.task(low).encode(), []).realisation
    two.realise(client.task(other).encode(), [])
    found = two.realise(client.task(other, cache=elsewhere).encode(), []).realisation
    assert own is not None and found is not None
    stated = sign(replace(found, recipe=own.recipe, signatures=()), (TWO,))
    open_cache(elsewhere).writer.add_realisation(stated, Signer((), TRUST), lambda key, fault: None)
    answer = one.realise(client.task(low, cache=elsewhere).encode(), [])
    assert answer.realisation is not None and answer.realisation.path == layer_of(answer)[1] == found.path
    assert found.path != own.path and TRUST.trusts(answer.realisation)


def test_a_collection_takes_nothing_from_a_running_node(client: Client) -> None:
    one = worker(client)
    one.realise(client.task(client.layers.layer("before")).encode(), [])  # its interpreter is used again

    def collect(event: Mapping[str, str]) -> None:
        if event["state"] == "building":
            with Store.open(one.root) as store:
                gc.collect_garbage(store, gc.CollectionPolicy())

    one.report = collect
    answer = one.realise(client.task(client.layers.layer("during")).encode(), [])
    assert layer_of(answer)[0] == Origin.BUILT


def test_the_end_waits_for_the_nodes_in_work(client: Client) -> None:
    one, goes_on = worker(client), threading.Event()
    one.report = lambda event: event["state"] != "started" or goes_on.wait(60)
    assert one.wait_idle(60) == 0
    task = client.task(client.layers.layer("waits"))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(one.realise, task.encode(), [])
        assert one.wait_idle(0.1) == 1
        goes_on.set()
        assert one.wait_idle(60) == 0 and running.result().state == AnswerState.DONE


def test_a_failed_build_is_an_answer(client: Client) -> None:
    low = client.layers.broken("low2")
    mid = client.layers.layer("mid2", low)
    one = worker(client)
    failed = one.realise(client.task(low).encode(), [])
    assert failed.state == AnswerState.FAILED and failed.outcome.failure is not None
    above = one.realise(client.task(mid).encode(), [failed.encode()])
    assert above.state == AnswerState.SKIPPED and "low2.node below it is failed" in str(above.outcome.failure)


def test_what_the_cache_lacks_is_no_failure_of_the_build(client: Client) -> None:
    task = ClusterTask(work=NodeTask(node=client.task(client.layers.layer("low3")).work.node), cache=f"{client.url}-2")
    answer = worker(client).realise(task.encode(), [])
    assert answer.state == AnswerState.UNAVAILABLE and "does not have" in str(answer.outcome.failure)


def test_slots_state_nothing_and_their_signatures_are_written_together(client: Client) -> None:
    low = client.layers.layer("low4")
    answers = [worker(client, key).realise(client.task(low, signer=key.name).encode(), []) for key in (ONE, TWO)]
    assert [layer_of(one)[0] for one in answers] == [Origin.BUILT, Origin.BUILT]
    records = [one.realisation for one in answers if one.realisation]
    cache = open_cache(client.url)
    assert cache.realisation(records[0].recipe, TRUST) is None and cache.object(records[0].path, TRUST) is not None
    assert records[0].fingerprint == records[1].fingerprint
    agreed, warnings = add_signatures(records[0], *records[1].signatures), list[str]()
    cache.writer.add_realisation(agreed, Signer((), TRUST), lambda key, fault: warnings.append(fault))
    stated = cache.realisation(agreed.recipe, TRUST)
    assert stated is not None and len(TRUST.signers(stated)) == 2 and warnings == []
    third = worker(client, THREE).realise(client.task(low, signer="three").encode(), [])
    assert layer_of(third) == (Origin.BUILT, records[0].path)  # not taken from the cache
    wrong = worker(client).realise(client.task(low, signer="two").encode(), [])
    assert wrong.state == AnswerState.FAILED and "has no key two" in str(wrong.outcome.failure)


def test_workers_that_disagree_stop_the_node_above(client: Client) -> None:
    low, lie = client.layers.layer("low5"), client.layers.layer("lie5")
    mid = client.layers.layer("mid5", low)
    honest, liar = (worker(client).realise(client.task(one).encode(), []) for one in (low, lie))
    lying = ClusterAnswer(
        state=AnswerState.DONE,
        outcome=honest.outcome,
        worker="liar",
        host="h",
        key=liar.key,
        realisation=liar.realisation,
    )
    answer = worker(client).realise(client.task(mid).encode(), [honest.encode(), lying.encode()])
    assert answer.state == AnswerState.DISAGREED and "disagree on low5.node" in str(answer.outcome.failure)


def test_a_worker_adopts_no_interpreter(client: Client, tmp_path: Path) -> None:
    task = client.task(client.layers.interpreter, cache=tmp_path.as_uri())
    answer = worker(client).realise(task.encode(), [])
    assert answer.state == AnswerState.FAILED and "adopts no interpreter" in str(answer.outcome.failure)
    client.push(client.interpreter)
    found = worker(client, TWO).realise(client.task(client.layers.interpreter).encode(), [])
    assert layer_of(found) == (Origin.SUBSTITUTED, client.interpreter)


def test_local_wheels_are_those_of_the_cache(client: Client, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    wheel = make_wheel(tmp_path / "wheels", "tiny", "1", {"tiny.py": b"NAME = 'tiny'\n"})
    with client.layers.store.staging("tiny") as staging:
        (staging / wheel.name).write_bytes(wheel.read_bytes())
        source = client.layers.store.add(staging, name="tiny", kind=Kind.SOURCE).path
    digest = sha256(wheel.read_bytes()).hexdigest()
    pinned = PinnedWheel(name="tiny", version="1", sha256=digest, location=str(wheel), filename=wheel.name)
    task = client.task(client.layers.layer("low7", wheels=(pinned,)))
    client.push(source)
    wheel.unlink()
    with_wheels = ClusterTask(work=task.work, cache=task.cache, wheels={digest: source})
    origin, path = layer_of(worker(client).realise(with_wheels.encode(), []))
    assert origin == Origin.BUILT and path is not None
    assert list(StoreLayout(client.folder / "one").object(path).rglob("tiny.py"))


def test_another_platform_takes_the_interpreter_of_the_client(client: Client) -> None:
    low = client.layers.layer("low8")
    foreign = LayerRecipe(
        name="low8",
        kind=low.kind,
        target=next(one for one in (Target.LINUX_AARCH64, Target.LINUX_X86_64) if one != Target.host()),
        python=low.python,
        interpreter=low.interpreter,
        sources=low.sources,
    )
    task = client.task(foreign)
    answer = worker(client).realise(task.encode(), [])
    assert answer.state == AnswerState.FAILED and "no interpreter of" in str(answer.outcome.failure)
    work = NodeTask(node=task.work.node, compiler=client.interpreter)
    answer = worker(client).realise(ClusterTask(work=work, cache=task.cache).encode(), [])
    assert layer_of(answer)[0] == Origin.BUILT


def test_the_store_is_kept_small(client: Client) -> None:
    one = worker(client, THREE, max_store_bytes=0)
    answer = one.realise(client.task(client.layers.layer("low9")).encode(), [])
    assert answer.state == AnswerState.DONE
    one.close()
    with Store.open(client.folder / "three") as store:
        assert list(store.objects.all()) == []


def test_tasks_of_other_releases_are_refused(client: Client) -> None:
    text = client.task(client.layers.layer("low10")).encode()
    with pytest.raises(UsageError, match="protocol 0, and this vstore has"):
        worker(client).realise(text.replace('"protocol":1', '"protocol":0'), [])
    with pytest.raises(UsageError, match="builder 0, and this vstore has builder"):
        worker(client).realise(text.replace(f'\\"builder\\":{BUILDER}', '\\"builder\\":0'), [])
    with pytest.raises(UsageError, match="does not belong to vstore"):
        realise_node(text)
