"""The messages of a cluster, and the keys of tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scripts.testing.machine import KEY
from vstore.build.recipe import InterpreterRecipe
from vstore.cluster.tasks import AnswerState, ClusterAnswer, ClusterTask
from vstore.digest import hash_bytes
from vstore.errors import BuildError, UsageError
from vstore.objects import Kind, StorePath
from vstore.realise.execute.messages import NodeOutcome, NodeTask
from vstore.realise.model import Origin, RealisedLayer
from vstore.realise.plan.document import Node
from vstore.remote.records.model import Realisation
from vstore.remote.records.trust import sign

RECIPE = InterpreterRecipe(
    name="cpython-3.11.7", target="linux_x86_64", implementation="cpython", version="3.11.7", source="adopted"
)
PATH = StorePath.make(hash_bytes("test", b"1"), "cpython-3.11.7")
TASK = ClusterTask(work=NodeTask(node=Node(recipe=RECIPE, objects={})), cache="file:///cache", wheels={"0" * 64: PATH})
LAYER = RealisedLayer(name=RECIPE.name, kind=Kind.INTERPRETER, path=PATH, origin=Origin.BUILT, seconds=1.5)
RECORD = Realisation(recipe=RECIPE.digest, path=PATH, digest=hash_bytes("test", b"1"), size_bytes=3)
ANSWER = ClusterAnswer(
    state=AnswerState.DONE,
    outcome=NodeOutcome(key=RECIPE.key, layer=LAYER, size_bytes=3),
    worker="one",
    host="here",
    key=str(KEY.public),
    realisation=sign(RECORD, (KEY,)),
    pushed_bytes=1,
    fetched_bytes=2,
    requests=3,
)


def test_messages_are_read_as_they_were_written() -> None:
    for task in (TASK, replace(TASK, signer="one", attempt=2)):
        assert ClusterTask.parse(task.encode()) == task
    assert ClusterAnswer.parse(ANSWER.encode()) == ANSWER
    error = BuildError("it failed", details=["the log"], hint="try")
    outcome = NodeOutcome(key=RECIPE.key, failure=error)
    failed = ClusterAnswer(state=AnswerState.FAILED, outcome=outcome, worker="one", host="here")
    found = ClusterAnswer.parse(failed.encode())
    assert found.encode() == failed.encode() and str(found.outcome.failure) == str(error)


def test_a_key_is_that_of_the_work() -> None:
    """Two clients share it; work for another cache, signer or attempt is other work."""
    key = TASK.key
    assert key.startswith("cpython-3.11.7-") and replace(TASK, wheels={}).key == key
    assert replace(TASK, work=NodeTask(node=TASK.work.node, lock="lock")).key == key
    others = {replace(TASK, cache="file:///c").key, replace(TASK, signer="one").key, replace(TASK, attempt=1).key}
    assert len({key, *others}) == 4


def test_dask_shows_nodes_by_their_names() -> None:
    from distributed.utils import key_split  # type: ignore[attr-defined]

    node = Node(recipe=replace(RECIPE, name="framework-torch"), objects={})
    assert key_split(replace(TASK, work=NodeTask(node=node)).key) == "framework-torch"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"protocol":"1"}', '{"protocol":1}', "\ud800", "null"])
def test_malformed_messages_are_refused(text: str) -> None:
    for parse in (ClusterTask.parse, ClusterAnswer.parse):
        with pytest.raises(UsageError, match=r"^not a"):
            parse(text)


def test_messages_of_another_protocol_are_refused() -> None:
    for message, parse in ((TASK, ClusterTask.parse), (ANSWER, ClusterAnswer.parse)):
        with pytest.raises(UsageError, match="has protocol 9, and this vstore has 1"):
            parse(message.encode().replace('"protocol":1', '"protocol":9'))
