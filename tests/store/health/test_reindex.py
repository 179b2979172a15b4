"""What an index made anew still knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from scripts.testing.trees import WHEN, add, recipe
from vstore import profile as profiles
from vstore.digest import hash_bytes
from vstore.gc import collect_garbage
from vstore.reporter import NullReporter
from vstore.store import Provenance, Store
from vstore.store.health.reindex import reindex

SPEC = hash_bytes("test spec", b"spec")


def lose_the_index(root: Path) -> None:
    for file in root.glob("index.sqlite*"):
        file.unlink()
    reindex(root)


def test_generations_keep_their_spec_their_order_and_their_numbers(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with Store.open(root) as store:
        for number in range(4):
            path = add(store, f"n{number}")
            now = WHEN + timedelta(days=number)
            profiles.append(store, "p", path, spec_path=f"/{number}.toml", spec_digest=SPEC, now=now)
            if number == 1:
                profiles.rollback(store, "p")
        profiles.switch(store, "p", 1)
        profiles.forget(store, "p", [4])
        before = profiles.history(store, "p")
        assert [(one.number, one.replaced_number) for one in before] == [(1, None), (2, 1), (3, 1)]
    lose_the_index(root)
    with Store.open(root) as store:
        known = profiles.history(store, "p")
        for old, new in zip(before, known, strict=True):
            assert (new.number, new.path, new.created_at) == (old.number, old.path, old.created_at)
            assert (new.spec_path, new.spec_digest, new.replaced_number) == (
                old.spec_path,
                old.spec_digest,
                old.replaced_number,
            )
            assert new.current == old.current
        made = profiles.append(store, "p", add(store, "next"), spec_path=None, spec_digest=None, now=WHEN)
        assert made is not None and made.number == 5, "four is used up"
        assert [place.name for place in sorted(store.layout.profiles.glob(".p-*"))] == [
            f".p-{number}.json" for number in (1, 2, 3, 5)
        ]


def test_records_of_what_was_forgotten_go_and_leave_no_litter(tmp_path: Path) -> None:
    with Store.open(tmp_path / "root") as store:
        for number in range(3):
            profiles.append(store, "p", add(store, f"n{number}"), spec_path=None, spec_digest=None, now=WHEN)
        profiles.forget(store, "p", [1])
        (store.layout.profiles / ".p-9.json").write_text("killed before its link")
        (store.layout.profiles / ".q-1.json").write_text("torn")
        assert set(collect_garbage(store, reporter=NullReporter()).orphans) == {
            "profiles/.p-9.json",
            "profiles/.q-1.json",
        }
        assert [place.name for place in sorted(store.layout.profiles.glob(".*"))] == [".p-2.json", ".p-3.json"]


def test_recipes_and_parts_told_later_are_not_lost(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with Store.open(root) as store:
        path = add(store, "low", recipe=recipe("first"), parts=[b"one"])
        assert add(store, "low", recipe=recipe("second"), parts=[b"two"]) == path
        store.add_provenance(path, Provenance(recipe=recipe("third")))
    lose_the_index(root)
    with Store.open(root) as store:
        assert [store.realisation(recipe(name)) for name in ("first", "second", "third")] == [path] * 3
        assert store.objects_with_wheel(b"one") == store.objects_with_wheel(b"two") == [path]


def test_everything_counts_as_used_today(tmp_path: Path) -> None:
    """A lost use could be of yesterday: nothing may go early for it."""
    root = tmp_path / "root"
    with Store.open(root) as store:
        path = add(store, "low")
        store.last_used.record(path, "app", now=WHEN)
    lose_the_index(root)
    with Store.open(root) as store:
        known = store.last_used.of(path)
        assert known is not None and known.used_on == datetime.now(UTC).date().isoformat()
