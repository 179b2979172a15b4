"""WHAT: each form, what it means when several fit, and what the errors tell."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scripts.testing.trees import add
from vstore import profile as profiles
from vstore.errors import NotFoundError, ProfileError, UsageError, VstoreError
from vstore.objects import Kind, StorePath
from vstore.profile import Stack, StackLayer, What, resolve_what
from vstore.store import RootKind, Store, list_roots


def install(store: Store, profile: str, **layers: StorePath) -> StorePath:
    """Make a generation with these layers, by name; `_` in a name stands for `-`."""
    members = tuple(
        StackLayer(name=name.replace("_", "-"), kind=Kind.FRAMEWORK, path=path) for name, path in layers.items()
    )
    stack = Stack(name=profile, target="linux_x86_64", layers=members)
    with store.staging(profile) as staged:
        (staged / "layers").mkdir()
        for one in members:
            (staged / "layers" / one.name).symlink_to(f"../../{one.path}")
        (staged / "stack.json").write_bytes(stack.encode())
        path = store.add(staged, name=f"{profile}-stack", kind=Kind.STACK).path
    profiles.append(store, profile, path, spec_path=None, spec_digest=None, now=datetime.now(UTC))
    return path


@pytest.fixture
def old(store: Store) -> StorePath:
    return add(store, "app-x", {"a": b"old"})


@pytest.fixture
def new(store: Store) -> StorePath:
    return add(store, "app-x", {"a": b"new"})


@pytest.fixture
def stacks(store: Store, old: StorePath, new: StorePath) -> tuple[StorePath, StorePath]:
    """Profile p: generation 1 has the old app-x, generation 2, the current one, the new."""
    return install(store, "p", app_x=old), install(store, "p", app_x=new)


def refused(store: Store, text: str, error: type[VstoreError] = NotFoundError) -> VstoreError:
    with pytest.raises(error) as caught:
        resolve_what(store, text)
    return caught.value


def test_a_profile_and_its_layers(store: Store, stacks: tuple[StorePath, StorePath], new: StorePath) -> None:
    link = store.layout.profiles / "p"
    assert resolve_what(store, "p") == What(path=stacks[1], place=link, profile="p")
    assert resolve_what(store, "p/") == resolve_what(store, "p")
    layer = resolve_what(store, "p/app-x")
    assert layer == What(path=new, place=link / "layers/app-x", profile="p", layer="app-x")
    assert (layer.place / "a").read_bytes() == b"new"
    profiles.rollback(store, "p")
    assert (layer.place / "a").read_bytes() == b"old", "the place follows the profile"


def test_a_layer_by_the_name_in_its_spec(store: Store, new: StorePath, old: StorePath) -> None:
    install(store, "p", framework_x=new, python_3=old)
    assert resolve_what(store, "p/x") == resolve_what(store, "p/framework-x")
    assert "layers: framework-x, python-3" in str(refused(store, "p/other"))
    install(store, "p", framework_x=new, app_x=old)
    assert "has no layer 'x'" in str(refused(store, "p/x")), "two layers have the name"


def test_a_generation_and_its_layers(store: Store, stacks: tuple[StorePath, StorePath], old: StorePath) -> None:
    place = store.layout.object
    assert resolve_what(store, "p@1") == What(path=stacks[0], place=place(stacks[0]), profile="p", generation=1)
    assert resolve_what(store, "p@1/app-x") == What(
        path=old, place=place(old), profile="p", generation=1, layer="app-x"
    )


def test_objects_by_path_start_and_name(store: Store) -> None:
    low = add(store, "low")
    for text in ("low", str(low), low.short, low.short[:12]):
        assert resolve_what(store, text) == What(path=low, place=store.layout.object(low))


def test_a_store_path_that_begins_another_is_itself(store: Store) -> None:
    low, lower = add(store, "low", {"a": b"1"}), add(store, "lower", {"a": b"1"})
    assert low.short == lower.short
    assert resolve_what(store, str(low)).path == low


def test_a_profile_is_preferred_to_an_object_of_its_name(store: Store, new: StorePath) -> None:
    add(store, "p")
    stack = install(store, "p", app_x=new)
    assert resolve_what(store, "p").path == stack


def test_places(
    store: Store, stacks: tuple[StorePath, StorePath], new: StorePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = store.layout
    monkeypatch.chdir(tmp_path)
    (tmp_path / "result").symlink_to(layout.profiles / "p")
    (tmp_path / "pinned").symlink_to(layout.object(new))
    profile = resolve_what(store, "p")
    for text in ("profiles/p", str(layout.profiles / "p"), "root/profiles/p", "result", "./result", "result/layers/.."):
        assert resolve_what(store, text) == profile, text
    layer = resolve_what(store, "p/app-x")
    for text in ("profiles/p/layers/app-x", "result/layers/app-x/a"):
        assert resolve_what(store, text) == layer, text
    for text in ("pinned", f"store/{new}", str(layout.object(new) / "a")):
        assert resolve_what(store, text) == What(path=new, place=layout.object(new)), text
    assert resolve_what(store, "profiles/p-1-link") == resolve_what(store, "p@1")
    monkeypatch.chdir(layout.object(new))
    assert resolve_what(store, ".").path == new


def test_loops_and_missing_files_are_no_places(store: Store, stacks: tuple[StorePath, StorePath]) -> None:
    loop = store.layout.root / "loop"
    loop.symlink_to("loop")
    for text in ("./loop", "loop/a", "profiles/p/layers/nothing", f"store/{stacks[0]}/nothing", "/etc", "~nobody-x/a"):
        assert "no profile, object or place" in refused(store, text).message, text


def test_a_name_of_several_objects_means_the_one_in_use(
    store: Store, stacks: tuple[StorePath, StorePath], old: StorePath, new: StorePath
) -> None:
    assert resolve_what(store, "app-x").path == new
    profiles.rollback(store, "p")
    assert resolve_what(store, "app-x").path == old


def test_an_ambiguous_name_tells_the_candidates(
    store: Store, stacks: tuple[StorePath, StorePath], old: StorePath, new: StorePath
) -> None:
    install(store, "q", app_x=old)
    error = refused(store, "app-x", UsageError)
    assert error.message == "app-x is ambiguous: 2 objects match"
    lines = sorted(line.partition("  ") for line in error.details)
    assert [line[0] for line in lines] == sorted([str(old), str(new)])
    told = {line[0]: line[2] for line in lines}
    assert told[str(old)].startswith("framework, ") and told[str(old)].endswith(" old, in p@1/app-x, q/app-x")
    assert told[str(new)].endswith("in p/app-x")
    assert error.hint == "say `p/app-x` or `q/app-x`"


def test_an_ambiguous_start_is_never_chosen_for_its_use(store: Store, new: StorePath) -> None:
    beside = add(store, "app-y", {"a": b"new"})  # the same digest
    install(store, "p", app_x=new)
    error = refused(store, new.short, UsageError)
    assert len(error.details) == 2 and "in no profile" in "".join(error.details) and beside.short == new.short


def test_names_that_nobody_uses_are_ambiguous(store: Store, old: StorePath, new: StorePath) -> None:
    assert refused(store, "app-x", UsageError).hint == "give more of the store path"


def test_near_names_are_suggested(store: Store, stacks: tuple[StorePath, StorePath]) -> None:
    add(store, "cpython-3.13.0")
    assert "did you mean 'cpython-3.13.0'?" in str(refused(store, "cpython-3.13"))
    assert "did you mean `p/app-x`?" in str(refused(store, "p/x-app-x"))
    assert "layers: app-x" in str(refused(store, "p@1/nothing"))
    assert refused(store, "p@7", ProfileError).message == "profile p has no generation 7"
    assert refused(store, "p@7/app-x", ProfileError).hint == "`vstore history p` lists them"


@pytest.mark.parametrize(
    "text", ["nothing", "/etc", "a b", "%", "a\nb", "ü", "../..", "p@", "@1", "-", "\0", "x" * 5000]
)
def test_odd_texts_name_nothing(store: Store, stacks: tuple[StorePath, StorePath], text: str) -> None:
    error = refused(store, text)
    assert error.exit_code == 13 and "\n" not in error.message


def test_without_a_profile_the_hint_tells_how_to_make_one(store: Store) -> None:
    assert refused(store, "app").hint == "there is no profile yet; `vstore realise SPEC` makes one"


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_text_is_a_mistake(store: Store, text: str) -> None:
    assert refused(store, text, UsageError).exit_code == 2


def test_what_is_kept_is_alive_until_the_store_is_closed(store: Store) -> None:
    low = add(store, "low")
    root = store.layout.root
    store.close()
    for keep in (False, True):
        with Store.open(root) as opened:
            resolve_what(opened, "low", keep=keep)
            temporary = [one.path for one in list_roots(opened.layout) if one.kind == RootKind.TEMP]
            assert temporary == ([low] if keep else [])


def test_asking_a_store_of_others_writes_nothing(store: Store, stacks: tuple[StorePath, StorePath]) -> None:
    root = store.layout.root
    store.close()
    before = sorted(os.listdir(root / "gcroots/temp"))
    with Store.open(root, read_only=True) as opened:
        assert resolve_what(opened, "p/app-x").layer == "app-x"
        assert sorted(os.listdir(root / "gcroots/temp")) == before
