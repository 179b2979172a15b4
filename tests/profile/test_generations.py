from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from scripts.testing.trees import SOURCE, WHEN, add, info, run_in_child
from vstore import profile as profiles
from vstore.digest import hash_bytes
from vstore.errors import NotFoundError, ProfileError
from vstore.fs.trees.removal import remove_tree
from vstore.gc import collect_garbage
from vstore.reporter import NullReporter
from vstore.store import RootKind, Store, list_roots
from vstore.store.generation_records import write_generation_record
from vstore.store.index.last_used import Use

DIGEST = hash_bytes("test spec", b"spec")


def install(store: Store, name: str, profile: str = "p") -> int | None:
    path = add(store, name)
    made = profiles.append(store, profile, path, spec_path="/spec.toml", spec_digest=DIGEST, now=WHEN)
    return made.number if made else None


def number(store: Store, profile: str = "p") -> int | None:
    now_current = profiles.current(store, profile)
    return now_current.number if now_current else None


def shown(store: Store, profile: str = "p") -> str:
    return (store.layout.profiles / profile / "a").read_text()


def test_what_is_kept_of_a_generation(store: Store) -> None:
    install(store, "first")
    later = WHEN + timedelta(days=1)
    made = profiles.append(store, "p", add(store, "second"), spec_path="/spec.toml", spec_digest=DIGEST, now=later)
    assert made is not None
    first, second = profiles.history(store, "p")
    assert replace(second, used_on=None) == made and second.used_on == later.date()
    assert (second.number, second.replaced_number, second.created_at, second.current) == (2, 1, later, True)
    assert (second.spec_path, second.spec_digest) == ("/spec.toml", DIGEST)
    assert (first.number, first.replaced_number, first.current, first.path.name) == (1, None, False, "first")
    assert profiles.names(store) == ["p"]


def test_a_stack_is_kept_alive_before_it_is_asked_for(store: Store) -> None:
    path = add(store, "first")
    store.close()
    with Store.open(store.layout.root) as store:
        profiles.append(store, "p", path, spec_path=None, spec_digest=None, now=WHEN)
        assert (RootKind.TEMP, path) in {(root.kind, root.path) for root in list_roots(store.layout)}


def test_the_links_are_relative_and_move_with_the_root(store: Store, tmp_path: Path) -> None:
    install(store, "first")
    store.close()
    store.layout.root.rename(tmp_path / "moved")
    with Store.open(tmp_path / "moved") as moved:
        assert shown(moved) == "first"
        assert number(moved) == 1


def test_the_same_stack_again_makes_no_generation(store: Store) -> None:
    assert [install(store, name) for name in ("one", "one", "two", "one")] == [1, None, 2, 3]


def test_an_object_that_is_not_there_changes_nothing(store: Store) -> None:
    install(store, "first")
    with pytest.raises(ProfileError, match="not in the store"):
        profiles.append(store, "p", info("elsewhere").path, spec_path=None, spec_digest=None, now=WHEN)
    assert shown(store) == "first"
    assert {link.name for link in store.layout.profiles.iterdir() if not link.name.startswith(".")} == {"p", "p-1-link"}


def test_rolling_back_installing_and_rolling_back(store: Store) -> None:
    for name in ("one", "two", "three"):
        install(store, name)
    assert profiles.rollback(store, "p").number == 2
    assert install(store, "four") == 4
    assert [profiles.rollback(store, "p").number for _ in range(2)] == [2, 1]
    assert shown(store) == "one"
    with pytest.raises(ProfileError, match="replaced none"):
        profiles.rollback(store, "p")
    assert shown(store) == "one"
    assert profiles.rollback(store, "p", to=4).path.name == "four"
    assert profiles.rollback(store, "p").number == 2


def test_rolling_back_to_a_forgotten_one(store: Store) -> None:
    for name in ("one", "two", "three"):
        install(store, name)
    profiles.forget(store, "p", [2])
    with pytest.raises(ProfileError, match="generation 2, which the current one replaced, was forgotten"):
        profiles.rollback(store, "p")
    assert profiles.switch(store, "p", 1).current
    assert shown(store) == "one"


def test_numbers_are_never_used_again(store: Store) -> None:
    for name in ("one", "two", "three"):
        install(store, name)
    profiles.switch(store, "p", 1)
    profiles.forget(store, "p", [2, 3])
    assert {link.name for link in store.layout.profiles.iterdir() if not link.name.startswith(".")} == {"p", "p-1-link"}
    store.close()
    with Store.open(store.layout.root) as store:
        assert install(store, "four") == 4


def test_a_number_on_disk_only_is_passed_over(store: Store) -> None:
    install(store, "one")
    (store.layout.profiles / "p-2-link").symlink_to("../store/half-made")
    assert install(store, "two") == 3


@pytest.mark.parametrize("numbers", [[2], [1, 2], [7], [1, 7]])
def test_forgetting_the_current_or_an_unknown_one_forgets_nothing(store: Store, numbers: list[int]) -> None:
    install(store, "one")
    install(store, "two")
    with pytest.raises(ProfileError):
        profiles.forget(store, "p", numbers)
    assert [one.number for one in profiles.history(store, "p")] == [1, 2]
    assert (store.layout.profiles / "p-1-link").is_symlink()


def test_switching_to_an_unknown_one(store: Store) -> None:
    install(store, "one")
    with pytest.raises(ProfileError, match="no generation 7") as caught:
        profiles.switch(store, "p", 7)
    assert caught.value.hint == "generations: 1"
    with pytest.raises(NotFoundError, match="no such profile: q") as missing:
        profiles.rollback(store, "q")
    assert missing.value.hint == "profiles: p"


def test_switching_to_a_lost_stack_is_refused(store: Store) -> None:
    install(store, "one")
    install(store, "two")
    remove_tree(store.layout.object(profiles.history(store, "p")[0].path))
    with pytest.raises(ProfileError, match="is missing"):
        profiles.switch(store, "p", 1)
    assert shown(store) == "two"


def test_a_link_removed_or_bent_by_hand_is_mended(store: Store) -> None:
    install(store, "one")
    install(store, "two")
    (store.layout.profiles / "p-1-link").unlink()
    profiles.switch(store, "p", 1)
    assert shown(store) == "one"
    (store.layout.profiles / "p-1-link").unlink()
    assert install(store, "one") is None
    assert shown(store) == "one"


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "p-1-link", "a b", "x" * 200, "p\n"])
def test_names_that_are_refused(store: Store, name: str) -> None:
    with pytest.raises(ProfileError, match="not a name for a profile"):
        install(store, "one", name)


def test_profiles_whose_names_begin_alike(store: Store) -> None:
    for profile in ("p", "p-1", "p-1-linked", "p.1"):
        assert install(store, profile, profile) == 1
        assert install(store, f"{profile}-again", profile) == 2
        profiles.forget(store, profile, [1])
    assert profiles.names(store) == ["p", "p-1", "p-1-linked", "p.1"]
    assert [shown(store, profile) for profile in profiles.names(store)] == [
        f"{profile}-again" for profile in profiles.names(store)
    ]


class Journey(RuleBasedStateMachine):
    """Any sequence of commands, against a list in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.store = Store.open(Path(self.folder.name))
        self.known: dict[int, tuple[str, int | None]] = {}
        self.now_current: int | None = None
        self.last = 0

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(name=st.sampled_from("abcd"))
    def install(self, name: str) -> None:
        made = install(self.store, name)
        if self.now_current is not None and self.known[self.now_current][0] == name:
            assert made is None
            return
        self.last += 1
        assert made == self.last
        self.known[made] = (name, self.now_current)
        self.now_current = made

    @precondition(lambda self: self.known)
    @rule(to=st.integers(1, 6))
    def switch(self, to: int) -> None:
        if to in self.known:
            assert profiles.switch(self.store, "p", to).number == to
            self.now_current = to
        else:
            with pytest.raises(ProfileError):
                profiles.switch(self.store, "p", to)

    @precondition(lambda self: self.known)
    @rule()
    def rollback(self) -> None:
        assert self.now_current is not None
        replaced = self.known[self.now_current][1]
        if replaced in self.known:
            assert profiles.rollback(self.store, "p").number == replaced
            self.now_current = replaced
        else:
            with pytest.raises(ProfileError):
                profiles.rollback(self.store, "p")

    @precondition(lambda self: self.known)
    @rule(gone=st.integers(1, 6))
    def forget(self, gone: int) -> None:
        if gone in self.known and gone != self.now_current:
            profiles.forget(self.store, "p", [gone])
            del self.known[gone]
        else:
            with pytest.raises(ProfileError):
                profiles.forget(self.store, "p", [gone])

    @invariant()
    def agrees(self) -> None:
        assert number(self.store) == self.now_current
        if self.now_current is not None:
            assert shown(self.store) == self.known[self.now_current][0]
            history = {g.number: (g.path.name, g.replaced_number) for g in profiles.history(self.store, "p")}
            assert history == self.known


TestJourney = Journey.TestCase
TestJourney.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)

CHURN = """
import sys; from datetime import UTC, datetime; from pathlib import Path
from vstore import profile; from vstore.store import Store; from scripts.testing.trees import add
with Store.open(Path(sys.argv[1])) as store:
    paths = [add(store, name) for name in ("one", "two", "three")]
    print("ready", flush=True)
    while True:
        for path in paths:
            profile.append(store, "p", path, spec_path=None, spec_digest=None, now=datetime.now(UTC))
        profile.rollback(store, "p")
        profile.forget(store, "p", [one.number for one in profile.history(store, "p") if not one.current][:-2])
"""


def test_killed_while_switching(store: Store) -> None:
    install(store, "zero")
    chance, last = random.Random(3), 1
    for attempt in range(10):
        child = run_in_child(CHURN, store.layout.root)
        assert child.stdout is not None
        child.stdout.readline()
        end = time.monotonic() + chance.uniform(0.001, 0.06)
        while time.monotonic() < end:
            assert shown(store), "a reader sees a whole generation at any time"
        child.kill()
        child.communicate()
        history = profiles.history(store, "p")
        (now_current,) = [one for one in history if one.current]
        assert shown(store) == now_current.path.name
        assert os.path.samefile(store.layout.profiles / "p", store.layout.object(now_current.path))
        for one in history:
            link = store.layout.profiles / f"p-{one.number}-link"
            assert os.readlink(link) == f"../store/{one.path}", "a row has its link"
        made = install(store, f"after-{attempt}")
        assert made is not None
        assert made > max(last, history[-1].number)
        last = made
    assert last > 10 + 3, "the child got something done"


@pytest.mark.skipif(sys.platform == "win32", reason="no symlinks there")
def test_several_processes_append_at_once(store: Store) -> None:
    code = """
import sys; from datetime import UTC, datetime; from pathlib import Path
from vstore import profile; from vstore.store import Store; from scripts.testing.trees import add
with Store.open(Path(sys.argv[1])) as store:
    for number in range(10):
        path = add(store, f"{sys.argv[2]}{number}")
        print(profile.append(store, "p", path, spec_path=None, spec_digest=None, now=datetime.now(UTC)).number)
"""
    children = [run_in_child(code, store.layout.root, name) for name in "xyz"]
    numbers = [int(line) for child in children for line in child.communicate(timeout=60)[0].split()]
    assert sorted(numbers) == list(range(1, 31))
    history = profiles.history(store, "p")
    assert [one.replaced_number for one in history] == [None, *range(1, 30)]
    assert number(store) == 30


def test_rolling_back_loads_little() -> None:
    code = "import sys, vstore.profile; print(*sorted(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    loaded = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).split()
    heavy = {"rich", "packaging", "click", "sqlite_utils", "uv", "tomllib", "subprocess", "backports.zstd", "asyncio"}
    assert "sqlite3" in loaded
    assert not heavy & set(loaded)
    assert not [name for name in loaded if name.startswith(("vstore.build", "vstore.lock", "vstore.spec", "vstore.gc"))]


def test_making_and_switching_are_uses(store: Store) -> None:
    """The one that is left was current until now: it must not look as if nobody had used it for long."""
    first, second = add(store, "first"), add(store, "second")
    later = WHEN + timedelta(days=90)
    for path, now in ((first, WHEN), (second, later)):
        profiles.append(store, "p", path, spec_path=None, spec_digest=None, now=now)
    days = [store.last_used.of(path) for path in (first, second)]
    assert days == [Use(later.date().isoformat(), "p")] * 2
    profiles.append(store, "p", second, spec_path=None, spec_digest=None, now=later + timedelta(days=1))
    assert store.last_used.of(second) == Use((later + timedelta(days=1)).date().isoformat(), "p")
    profiles.rollback(store, "p")
    known = store.last_used.of(first)
    assert known is not None and known.used_on > later.date().isoformat()


def test_what_a_killed_process_began_is_collected_even_after_the_next_generation(store: Store) -> None:
    """Killed between the link and the row, and no collection before the next one is made."""
    paths = [add(store, f"s{number}-stack") for number in range(3)]
    profiles.append(store, "p", paths[0], spec_path=None, spec_digest=None, now=WHEN)
    row = store.generations.of("p")[0]
    write_generation_record(store.layout, replace(row, number=2, path=paths[1]))
    (store.layout.profiles / "p-2-link").symlink_to(f"../store/{paths[1]}")
    made = profiles.append(store, "p", paths[2], spec_path=None, spec_digest=None, now=WHEN)
    assert made is not None and made.number == 3
    assert collect_garbage(store, reporter=NullReporter()).orphans == ("profiles/p-2-link",)
    assert sorted(os.listdir(store.layout.profiles)) == [".p-1.json", ".p-3.json", "p", "p-1-link", "p-3-link"]
