"""The contract of outputs: what holds for every form. A new one is a line in `OUTPUTS`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

import pytest

from scripts.reliability.hostile.places import KINDS, make_decoys, snapshot
from scripts.testing.world import World
from vstore.errors import UsageError
from vstore.fs.place import put_bytes
from vstore.objects import Kind
from vstore.oci import Reference
from vstore.profile import resolve_what
from vstore.publish import (
    ArchiveOptions,
    ArchiveOutput,
    BundleOptions,
    BundleOutput,
    FolderOptions,
    FolderOutput,
    ImageOptions,
    ImageOutput,
    LayoutFile,
    LayoutFolder,
    LinkMode,
    Output,
    StackMembers,
    bundle,
    earlier_outputs,
    members,
    members_of_stack,
)
from vstore.remote.transport.protocol import Transport
from vstore.reporter import NullReporter
from vstore.store import Store
from vstore.target import Target
from vstore.values import replace

Make = Callable[[Store, Path], Output]


def sample_output() -> Callable[..., Output]:
    """Return the class of the sample in CONTRIBUTING.md, made of its two blocks of Python."""
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text("utf-8")
    section = text.partition("## Add an output\n")[2].partition("\n## ")[0]
    output, recognised = re.findall(r"^   ```python\n(.*?)^   ```", section, re.DOTALL | re.MULTILINE)
    names = {**vars(earlier_outputs), **vars(bundle), **vars(members)}
    names |= {"put_bytes": put_bytes, "__name__": __name__}
    for block in (recognised, output):
        exec(compile("from __future__ import annotations\n" + dedent(block), "CONTRIBUTING.md", "exec"), names)
    made: Callable[..., Output] = names["ListOutput"]
    return made


def image(store: Store, place: LayoutFolder | LayoutFile) -> ImageOutput:
    """An image of the smallest archives, without a base."""
    return ImageOutput(store=store, place=place, options=ImageOptions(level=1), open_repository=no_registry)


def no_registry(reference: Reference) -> Transport:
    """Fail: there is no base."""
    raise AssertionError(f"{reference} is opened")


SYMLINK, COPY = FolderOptions(links=LinkMode.SYMLINK), FolderOptions(links=LinkMode.COPY)
OUTPUTS: dict[str, Make] = {
    "archives": lambda store, place: ArchiveOutput(
        store=store, folder=place, target=str(Target.host()), options=ArchiveOptions(level=1)
    ),
    "folders with links": lambda store, place: FolderOutput(store=store, folder=place, options=SYMLINK),
    "folders without links": lambda store, place: FolderOutput(store=store, folder=place, options=COPY),
    "bundle": lambda store, place: BundleOutput(store=store, file=place, options=BundleOptions(level=1)),
    "the sample of CONTRIBUTING.md": lambda store, place: sample_output()(store=store, file=place),
}
IMAGES: dict[str, Make] = {
    "image in a folder": lambda store, place: image(store, LayoutFolder(folder=place, store=store.layout.root)),
    "image in a file": lambda store, place: image(store, LayoutFile(file=place, store=store.layout.root)),
}
if Target.host().is_linux:
    OUTPUTS |= IMAGES


@pytest.fixture
def store(realised: World) -> Iterator[Store]:
    with Store.open(realised.root) as opened:
        yield opened


@pytest.fixture
def stack(store: Store) -> StackMembers:
    return members_of_stack(store, resolve_what(store, "project", keep=True).path)


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
    is_one = place.is_file() or (place / "oci-layout").is_file()
    assert is_one or all((place / item.name).exists() for item in written.items)
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_written_again_it_is_the_same(output: Output, stack: StackMembers, tmp_path: Path) -> None:
    first = output.write(stack, jobs=1, reporter=NullReporter())
    again = output.write(stack, jobs=2, reporter=NullReporter())
    assert [item.name for item in again.items] == [item.name for item in first.items]
    if first.manifest is not None:
        assert not again.written and again.manifest == first.manifest


def test_only_the_selected_layers_are_written(output: Output, stack: StackMembers, tmp_path: Path) -> None:
    """And what they refer to, but nothing that refers to them."""
    written = output.write(stack.matching(["framework-mid"]), jobs=1, reporter=NullReporter())
    paths = {member.name: member.path for member in stack.members}
    found = {item.path for item in written.items}
    assert paths["framework-mid"] in found
    assert not found & {paths[name] for name in ("framework-side", "app-hello", "project-stack")}
    assert [item.name for item in output.plan(stack.matching(["framework-mid"])).items] == [
        item.name for item in written.items
    ]


@pytest.mark.parametrize("earlier", [False, True], ids=["a free place", "an earlier output"])
def test_a_plan_has_the_names_of_what_is_not_built(
    output: Output, stack: StackMembers, tmp_path: Path, earlier: bool
) -> None:
    built = output.write(stack, jobs=1, reporter=NullReporter()) if earlier else output.plan(stack)
    before = snapshot(tmp_path)
    unbuilt = replace(stack, members=tuple(replace(member, path=None) for member in stack.members))
    planned = output.plan(unbuilt).items
    assert [item.kind for item in planned].count(Kind.INTERPRETER) == [item.kind for item in built.items].count(
        Kind.INTERPRETER
    )
    labels = [item.label for item in planned]
    assert {"python", "framework-mid", "framework-side", "app-hello"} <= set(labels)
    assert all(item.path is None and item.size_bytes is None and not item.unchanged for item in planned)
    assert not any("None" in text for item in planned for text in (item.label, item.name))
    selected = {item.label for item in output.plan(unbuilt.matching(["framework-mid"])).items}
    assert "framework-mid" in selected and not selected & {"framework-side", "app-hello", "project-stack"}
    assert snapshot(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="links and FIFOs of POSIX systems")
@pytest.mark.parametrize(
    "kind",
    ["a file", "an empty file", "a large file", "a folder", "a link to a file", "a link to nothing", "a FIFO"],
)
def test_what_vstore_did_not_make_is_refused(output: Output, stack: StackMembers, tmp_path: Path, kind: str) -> None:
    """It is a mistake of the request (exit code 2) before anything is read to its end, and stays as it is.

    Forms that are a folder may write beside what others have there.
    """
    place = tmp_path / "place"
    KINDS[kind](place, make_decoys(tmp_path / "decoy"))
    before = snapshot(tmp_path)
    for write in (
        lambda: output.check(["app-hello"]),
        lambda: output.plan(stack),
        lambda: output.write(stack, jobs=1, reporter=NullReporter()),
    ):
        refused = pytest.raises(UsageError, match=re.escape(str(place)))
        with suppress(UsageError) if kind == "a folder" else refused:
            write()
        after = snapshot(tmp_path)
        assert {name: after.get(name) for name in before} == before


@pytest.mark.parametrize("form", OUTPUTS)
def test_a_place_inside_the_store_is_refused(form: str, store: Store) -> None:
    output = OUTPUTS[form](store, store.layout.root / "place")
    with pytest.raises(UsageError, match="inside the store"):
        output.check(["app-hello"])
