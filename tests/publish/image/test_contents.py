"""What an image has, in which order, and what it starts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.testing.world import World
from vstore.digest import hash_bytes
from vstore.errors import UsageError
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.profile import resolve_what
from vstore.publish.image.contents import image_contents, lowest_first
from vstore.store import Store

KINDS = (Kind.INTERPRETER, Kind.RUNTIME, Kind.FRAMEWORK, Kind.APPLICATION, Kind.STACK)


def info(name: str, kind: Kind, size_bytes: int = 1, below: tuple[StorePath, ...] = ()) -> ObjectInfo:
    digest = hash_bytes("test", name.encode())
    return ObjectInfo(
        path=StorePath.make(digest, name),
        digest=digest,
        kind=kind,
        size_bytes=size_bytes,
        files=1,
        references=below,
        recipe=None,
        registered_at=datetime.now(UTC),
    )


@st.composite
def graphs(draw: st.DrawFn) -> list[ObjectInfo]:
    """Objects of rising kinds, each over some of a lower or the same kind."""
    found: list[ObjectInfo] = []
    kinds = sorted(draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=8)), key=KINDS.index)
    for number, kind in enumerate(kinds):
        below = draw(st.lists(st.sampled_from(found), unique=True)) if found else []
        paths = tuple(sorted(one.path for one in below))
        found.append(info(f"object-{number}", kind, draw(st.integers(0, 3)), paths))
    return found


@given(graphs(), st.randoms(use_true_random=False))
def test_each_object_comes_after_those_that_it_needs_whatever_the_order_before(
    objects: list[ObjectInfo], random: st.DataObject
) -> None:
    found = [one.path for one in lowest_first({one.path: one for one in objects})]
    for one in objects:
        assert all(found.index(path) < found.index(one.path) for path in one.references)
    shuffled = list(objects)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert [one.path for one in lowest_first({one.path: one for one in shuffled})] == found


def test_images_on_one_framework_are_alike_from_the_bottom_up() -> None:
    """Whatever the applications are called, and however large they are."""
    python = info("cpython", Kind.INTERPRETER, 10)
    runtime = info("python", Kind.RUNTIME, 1, (python.path,))
    small = info("framework-small", Kind.FRAMEWORK, 5, (python.path, runtime.path))
    large = info("framework-large", Kind.FRAMEWORK, 500, (python.path, runtime.path))
    common = [python, runtime, large, small]
    for number, size in enumerate((1, 100, 1000)):
        application = info(f"app-{number}", Kind.APPLICATION, size, tuple(one.path for one in common))
        found = lowest_first({one.path: one for one in (application, *common)})
        assert list(found) == [*common, application]


@pytest.fixture
def store(realised: World) -> Iterator[Store]:
    with Store.open(realised.root) as opened:
        yield opened


def test_a_stack_starts_its_only_application(store: Store) -> None:
    stack = resolve_what(store, "project").path
    [found] = image_contents(store, [stack], None)
    application = resolve_what(store, "project/hello").path
    program, *arguments = found.entrypoint
    assert program.startswith(f"/{application}/libexec/python3.")
    assert arguments == ["-P", "-m", "hello"]
    assert found.search_path == (f"/{stack}/bin", f"/{application}/bin")
    assert (found.name, found.platform.os, len(found.objects)) == ("project", "linux", 6)
    assert found.objects[-1].path == stack and found.objects[0].kind == Kind.INTERPRETER


def test_a_layer_without_launch_module_starts_its_python(store: Store) -> None:
    layer = resolve_what(store, "project/framework-mid").path
    [found] = image_contents(store, [layer], None)
    assert [text.rpartition("/")[0] for text in found.entrypoint] == [f"/{layer}/libexec"]
    assert len(found.objects) == 3
    [chosen] = image_contents(store, [resolve_what(store, "project").path], "mid")
    assert chosen.entrypoint == found.entrypoint


def test_what_cannot_start_is_one_line_with_a_hint(store: Store) -> None:
    stack, layers = resolve_what(store, "project").path, ["framework-mid", "framework-side"]
    with pytest.raises(UsageError, match="--entrypoint midd: no such layer") as caught:
        image_contents(store, [stack], "midd")
    assert "framework-mid" in str(caught.value.hint)
    with pytest.raises(UsageError, match="an image starts one") as caught:
        image_contents(store, [resolve_what(store, f"project/{name}").path for name in layers], None)
    assert caught.value.hint == "--entrypoint NAME: framework-mid, framework-side"
    [python] = [one.path for one in store.objects.all() if one.kind == Kind.INTERPRETER]
    with pytest.raises(UsageError, match="not a stack or a layer"):
        image_contents(store, [python], None)
