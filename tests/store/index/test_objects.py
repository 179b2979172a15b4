"""The index: what it keeps, and what it refuses."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.testing.trees import WHEN, info, recipe, run_in_child
from vstore.errors import BusyError, StoreError
from vstore.objects import ObjectInfo, StorePath
from vstore.store import Generation, Provenance
from vstore.store.index.connection import Database
from vstore.store.index.generations import Generations
from vstore.store.index.objects import ObjectIndex
from vstore.store.index.realisations import Realisations


class Index:
    """All parts of one index."""

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        self.database = Database(file, read_only=read_only)
        self.objects = ObjectIndex(self.database)
        self.realisations = Realisations(self.database)
        self.generations = Generations(self.database, file.parent / "profiles")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index(tmp_path / "index.sqlite") as opened:
        yield opened


def test_what_is_registered_is_found_again(index: Index, tmp_path: Path) -> None:
    low = info("low")
    high = info("high", [low.path], recipe=recipe("high"))
    index.objects.register(low)
    index.objects.register(high, Provenance(wheel_keys=(b"wheel",), build_seconds=1.5))
    with Index(tmp_path / "index.sqlite", read_only=True) as other:
        assert other.objects.info(high.path) == high
        assert other.objects.all() == sorted([low, high], key=lambda found: found.path)
        assert other.objects.referrers(low.path) == [high.path]
        assert other.realisations.object_of(recipe("high")) == high.path
        assert other.realisations.objects_with_wheel(b"wheel") == [high.path]
        graph = other.objects.graph()
    assert graph.paths == (low.path, high.path)
    assert graph.sizes == (3, 4)
    assert graph.edges == ((), (0,))


def test_registering_twice_changes_nothing(index: Index) -> None:
    low = info("low")
    for _ in range(2):
        index.objects.register(low)
        index.objects.register(info("high", [low.path]))
    assert len(index.objects.all()) == 2


def test_an_object_whose_reference_is_missing_is_refused_whole(index: Index) -> None:
    high = info("high", [info("low").path], recipe=recipe("high"))
    with pytest.raises(StoreError, match="not in the store"):
        index.objects.register(high)
    assert index.objects.info(high.path) is None and index.realisations.object_of(recipe("high")) is None


def test_forgetting_takes_everything_along(index: Index) -> None:
    low = info("low")
    high = info("high", [low.path], recipe=recipe("high"))
    index.objects.register(low)
    index.objects.register(high, Provenance(wheel_keys=(b"wheel",)))
    index.realisations.cache_stack(b"question", high.path)
    index.objects.forget([low.path, high.path])
    assert index.objects.all() == [] and index.realisations.object_of(recipe("high")) is None
    assert (
        index.realisations.objects_with_wheel(b"wheel") == [] and index.realisations.cached_stack(b"question") is None
    )


def test_the_schema_refuses_to_forget_what_is_referred_to(index: Index) -> None:
    low = info("low")
    index.objects.register(low)
    index.objects.register(info("high", [low.path]))
    with pytest.raises(StoreError, match="refused"):
        index.objects.forget([low.path])
    assert index.objects.is_registered(low.path)


def test_the_schema_refuses_to_forget_a_generation(index: Index) -> None:
    stack = info("stack")
    index.objects.register(stack)
    index.generations.add(_generation(stack.path, 1))
    with pytest.raises(StoreError, match="refused"):
        index.objects.forget([stack.path])
    index.generations.drop("p", [1])
    index.objects.forget([stack.path])


def _generation(path: StorePath, number: int) -> Generation:
    return Generation(
        profile="p",
        number=number,
        path=path,
        created_at=WHEN,
        spec_path="/spec.toml",
        spec_digest=recipe("spec"),
        replaced_number=None,
    )


def test_numbers_of_generations_are_used_up(index: Index) -> None:
    stack = info("stack")
    index.objects.register(stack)
    rows = [_generation(stack.path, 1), replace(_generation(stack.path, 2), replaced_number=1)]
    for row in rows:
        index.generations.add(row)
    assert index.generations.of("p") == rows and index.generations.profiles() == ["p"]
    index.generations.drop("p", [2])
    assert index.generations.of("p") == rows[:1]
    assert index.generations.last_number("p") == 2 and index.generations.last_number("other") == 0
    with pytest.raises(StoreError, match="not in the store"):
        index.generations.add(_generation(info("gone").path, 3))


def test_a_recipe_that_gives_another_object_now(index: Index) -> None:
    one, two = info("one", recipe=recipe("r")), info("two")
    index.objects.register(one)
    index.objects.register(two)
    index.realisations.add(two.path, Provenance(recipe=recipe("r"), build_seconds=2.0))
    assert index.realisations.object_of(recipe("r")) == two.path
    with pytest.raises(StoreError, match="not in the store"):
        index.realisations.add(info("gone").path, Provenance(recipe=recipe("r")))


def test_finding_by_prefix_or_name(index: Index) -> None:
    paths = [info(name).path for name in ("low", "high", "l_w")]
    for name in ("low", "high", "l_w"):
        index.objects.register(info(name))
    assert index.objects.find("low") == [paths[0]]
    assert index.objects.find("l_w") == [paths[2]]
    assert index.objects.find(str(paths[1])[:9]) == [paths[1]]
    assert index.objects.find("_" * 9) == [] and index.objects.find("lo") == []
    assert not index.objects.find("a" * 50_001) and not index.objects.beginning_with("a" * 50_001, 9)


@settings(max_examples=25, deadline=None)
@given(
    links=st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda pair: pair[0] > pair[1])),
    dead=st.sets(st.integers(0, 7)),
)
def test_forgetting_is_allowed_exactly_when_nothing_left_refers(links: set[tuple[int, int]], dead: set[int]) -> None:
    with TemporaryDirectory() as folder, Index(Path(folder) / "index.sqlite") as index:
        infos: list[ObjectInfo] = []
        for number in range(8):
            infos.append(info(f"o{number}", [infos[low].path for high, low in links if high == number]))
        index.objects.register_all((each, Provenance()) for each in infos)
        allowed = not any(low in dead and high not in dead for high, low in links)
        try:
            index.objects.forget([infos[number].path for number in sorted(dead)])
        except StoreError:
            assert not allowed and len(index.objects.all()) == 8
        else:
            assert allowed and len(index.objects.all()) == 8 - len(dead)


# files that are not what they should be


def test_a_newer_schema_is_refused(index: Index, tmp_path: Path) -> None:
    index.database.rows("PRAGMA user_version = 9999")
    for read_only in (False, True):
        with pytest.raises(StoreError, match="another release") as caught:
            Index(tmp_path / "index.sqlite", read_only=read_only)
        assert caught.value.hint == "use that release of vstore, or run `vstore reindex`"


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_no_database(tmp_path: Path, read_only: bool) -> None:
    file = tmp_path / "index.sqlite"
    file.write_bytes(b"no database " * 1000)
    with pytest.raises(StoreError, match="damaged") as caught:
        Index(file, read_only=read_only)
    assert caught.value.hint == "run `vstore reindex`"


def test_a_damaged_page_is_found(tmp_path: Path) -> None:
    file = tmp_path / "index.sqlite"
    with Index(file) as index:
        index.objects.register_all((info(f"o{number}"), Provenance()) for number in range(200))
        index.database.check()
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xee" * (len(data) - 4096)
    file.write_bytes(data)
    with Index(file) as index, pytest.raises(StoreError, match="damaged") as caught:
        index.database.check()
    assert caught.value.hint == "run `vstore reindex`"


def test_a_reference_lost_behind_the_schemas_back_is_found(index: Index, tmp_path: Path) -> None:
    low = info("low")
    index.objects.register(low)
    index.objects.register(info("high", [low.path]))
    index.database.check()
    with sqlite3.connect(tmp_path / "index.sqlite") as connection:  # foreign keys are off by default
        connection.execute("DELETE FROM objects WHERE path = ?", (str(low.path),))
    connection.close()
    with pytest.raises(StoreError, match="damaged"):
        index.database.check()


def test_there_is_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store here"):
        Index(tmp_path / "index.sqlite", read_only=True)


def test_writing_through_a_read_only_index_is_refused(index: Index, tmp_path: Path) -> None:
    with (
        Index(tmp_path / "index.sqlite", read_only=True) as other,
        pytest.raises(StoreError, match="read-only") as caught,
    ):
        other.objects.register(info("low"))
    assert not isinstance(caught.value, BusyError)


def test_several_processes_make_the_index_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from vstore.store import Store; sys.stdin.readline();"
        "s = Store.open(Path(sys.argv[1])); print(len(s.objects.all()))"
    )
    children = [run_in_child(code, tmp_path / "root") for _ in range(4)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    assert [child.communicate(timeout=60)[0] for child in children] == ["0\n"] * 4
