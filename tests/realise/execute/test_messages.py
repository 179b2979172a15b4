"""Messages about nodes: what is read equals what was written, and what is malformed is an error."""

from __future__ import annotations

import json

import pytest

from vstore.build.clashes import Clash
from vstore.build.recipe import InterpreterRecipe, LayerRecipe
from vstore.digest import hash_bytes
from vstore.errors import BuildError, ToolError, UsageError, VstoreError
from vstore.lock import PinnedWheel
from vstore.objects import Kind, StorePath
from vstore.realise.execute.messages import NodeOutcome, NodeTask
from vstore.realise.model import Origin, RealisedLayer
from vstore.realise.plan.document import Node
from vstore.uv import UvError

INTERPRETER = InterpreterRecipe(
    name="cpython-3.12.1",
    target="linux_x86_64",
    implementation="cpython",
    version="3.12.1",
    source="managed",
    sha256="0" * 64,
    url="https://example.org/python.tar.gz",
)
WHEEL = PinnedWheel(name="a", version="1", sha256="1" * 64, location="/w/a-1.whl", filename="a-1.whl", index=None)
LAYER = LayerRecipe(
    name="framework-a",
    kind=Kind.FRAMEWORK,
    target="linux_x86_64",
    python="3.12.1",
    interpreter=INTERPRETER.key,
    wheels=(WHEEL,),
)
OBJECT = StorePath.make(hash_bytes("test", b"object"), "framework-a")
BUILT = RealisedLayer(
    name="framework-a",
    kind=Kind.FRAMEWORK,
    path=OBJECT,
    origin=Origin.BUILT,
    seconds=1.5,
    clashes=(Clash(path="x", kept="a", kept_layer="b", hidden="c", hidden_layer="d"),),
)


@pytest.mark.parametrize(
    "task",
    [
        NodeTask(node=Node(recipe=INTERPRETER, objects={})),
        NodeTask(node=Node(recipe=LAYER, objects={INTERPRETER.key: OBJECT}), compiler=OBJECT, lock="pylock.a.toml 0"),
    ],
)
def test_a_task_is_read_as_it_was_written(task: NodeTask) -> None:
    read = NodeTask.parse(task.encode())
    assert read == task and read.node.recipe.key == task.node.recipe.key
    assert NodeTask.parse(read.encode()) == task


def test_objects_of_dependencies_are_added_to_a_task() -> None:
    task = NodeTask(node=Node(recipe=LAYER, objects={}))
    assert NodeTask.parse(task.encode(), {INTERPRETER.key: OBJECT}).node.objects == {INTERPRETER.key: OBJECT}


def test_an_outcome_is_read_as_it_was_written() -> None:
    outcome = NodeOutcome(key=LAYER.key, layer=BUILT, size_bytes=7)
    assert NodeOutcome.parse(outcome.encode()) == outcome and outcome.result() is BUILT


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BuildError("it \udc80 fails", details=["one", "two"], hint="do `this`"), BuildError),
        (UvError("uv failed", "its output"), ToolError),
        (VstoreError("other"), VstoreError),
    ],
)
def test_an_error_keeps_its_text_and_its_exit_code(error: VstoreError, kind: type[VstoreError]) -> None:
    read = NodeOutcome.parse(NodeOutcome(key=LAYER.key, failure=error).encode())
    assert read.failure is not None and type(read.failure) is kind
    assert str(read.failure) == str(error).replace("\udc80", "\\udc80")
    with pytest.raises(kind, match=r"fail|other"):
        read.result()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"node": 1}', "\udc80", '{"node": {}}'])
def test_a_malformed_task_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="not a"):
        NodeTask.parse(text)


@pytest.mark.parametrize(
    "change",
    [
        {"key": "x"},
        {"layer": None},
        {"failure": {"exit_code": 1, "message": "both"}},
        {"size_bytes": -1},
        {"layer": {"name": "a"}},
    ],
)
def test_a_malformed_outcome_is_an_error(change: dict[str, object]) -> None:
    document = json.loads(NodeOutcome(key=LAYER.key, layer=BUILT).encode())
    with pytest.raises(BuildError, match="not an outcome"):
        NodeOutcome.parse(json.dumps({**document, **change}))
