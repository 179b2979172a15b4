"""The contract of outputs: what holds for every form. A new one is a line in `OUTPUTS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.testing.world import World
from vstore.errors import UsageError
from vstore.publish import (
    ArchiveOptions,
    ArchiveOutput,
    BundleOptions,
    BundleOutput,
    FolderOptions,
    FolderOutput,
    LinkMode,
    Output,
    StackMembers,
    members_of_stack,
    resolve_selector,
)
from vstore.reporter import NullReporter
from vstore.store import Store
from vstore.target import Target

Make = Callable[[Store, Path], Output]
SYMLINK, COPY = FolderOptions(links=LinkMode.SYMLINK), FolderOptions(links=LinkMode.COPY)
OUTPUTS: dict[str, Make] = {
    "archives": lambda store, place: ArchiveOutput(
        store=store, folder=place, target=str(Target.host()), options=ArchiveOptions(level=1)
    ),
    "folders with links": lambda store, place: FolderOutput(store=store, folder=place, options=SYMLINK),
    "folders without links": lambda store, place: FolderOutput(store=store, folder=place, options=COPY),
    "bundle": lambda store, place: BundleOutput(store=store, file=place, options=BundleOptions(level=1)),
}


@pytest.fixture
def store(realised: World) -> Iterator[Store]:
    with Store.open(realised.root) as opened:
        yield opened


@pytest.fixture
def stack(store: Store) -> StackMembers:
    return members_of_stack(store, resolve_selector(store, "project"))


@pytest.fixture(params=OUTPUTS)
def output(request: pytest.FixtureRequest, store: Store, tmp_path: Path) -> Output:
    return OUTPUTS[request.param](store, tmp_path / "place")


def test_a_plan_writes_nothing(output: Output, stack: StackMembers, tmp_path: Path) -> None:
    plan = output.plan(stack)
    assert plan.written == plan.items and not plan.unchanged
    assert all(item.size_bytes and item.path for item in plan.items)
    assert list(tmp_path.iterdir()) == []


def test_what_is_planned_is_written(output: Output, stack: StackMembers, tmp_path: Path) -> None:
    planned = output.plan(stack)
    written = output.write(stack, jobs=1, reporter=NullReporter())
    assert [item.name for item in written.items] == [item.name for item in planned.items]
    place = tmp_path / "place"
    assert place.is_file() or all((place / item.name).exists() for item in written.items)
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_written_again_it_is_the_same(output: Output, stack: StackMembers, tmp_path: Path) -> None:
    first = output.write(stack, jobs=1, reporter=NullReporter())
    again = output.write(stack, jobs=2, reporter=NullReporter())
    assert [item.name for item in again.items] == [item.name for item in first.items]
    if first.manifest is not None:
        assert not again.written and again.manifest == first.manifest


def test_what_vstore_did_not_make_is_refused(output: Output, stack: StackMembers, tmp_path: Path) -> None:
    (tmp_path / "place").write_text("mine")
    for write in (
        lambda: output.check(["app-hello"]),
        lambda: output.plan(stack),
        lambda: output.write(stack, jobs=1, reporter=NullReporter()),
    ):
        with pytest.raises(UsageError):
            write()
    assert (tmp_path / "place").read_text() == "mine"


@pytest.mark.parametrize("form", OUTPUTS)
def test_a_place_inside_the_store_is_refused(form: str, store: Store) -> None:
    output = OUTPUTS[form](store, store.layout.root / "place")
    with pytest.raises(UsageError, match="inside the store"):
        output.check(["app-hello"])
