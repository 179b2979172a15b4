"""The index: what it keeps, and what it refuses."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.trees import WHEN, info, recipe, run_in_child
from vstore.errors import BusyError, StoreError
from vstore.objects import ObjectInfo, StorePath
from vstore.store import GenerationRow, Index
from vstore.store.index.generations import Generations


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index(tmp_path / "index.sqlite") as opened:
        yield opened


def test_what_is_registered_is_found_again(index: Index, tmp_path: Path) -> None:
    low = info("low")
    high = info("high", [low.path], recipe=recipe("high"))
    index.register(low)
    index.register(high, parts=[b"wheel"], seconds=1.5)
    with Index(tmp_path / "index.sqlite", read_only=True) as other:
        assert other.info(high.path) == high
        assert other.objects() == sorted([low, high], key=lambda found: found.path)
        assert other.referrers(low.path) == [high.path]
        assert other.realisation(recipe("high")) == high.path
        assert other.holders(b"wheel") == [high.path]
        graph = other.graph()
    assert graph.paths == (low.path, high.path)
    assert graph.sizes == (3, 4)
    assert graph.references == ((), (0,))


def test_registering_twice_changes_nothing(index: Index) -> None:
    low = info("low")
    for _ in range(2):
        index.register(low)
        index.register(info("high", [low.path]))
    assert len(index.objects()) == 2


def test_an_object_whose_reference_is_missing_is_refused_whole(index: Index) -> None:
    high = info("high", [info("low").path], recipe=recipe("high"))
    with pytest.raises(StoreError, match="not in the store"):
        index.register(high)
    assert index.info(high.path) is None and index.realisation(recipe("high")) is None


def test_forgetting_takes_everything_along(index: Index) -> None:
    low = info("low")
    high = info("high", [low.path], recipe=recipe("high"))
    index.register(low)
    index.register(high, parts=[b"wheel"])
    index.remember(b"question", high.path)
    index.forget([low.path, high.path])
    assert index.objects() == [] and index.realisation(recipe("high")) is None
    assert index.holders(b"wheel") == [] and index.memo(b"question") is None


def test_the_schema_refuses_to_forget_what_is_referred_to(index: Index) -> None:
    low = info("low")
    index.register(low)
    index.register(info("high", [low.path]))
    with pytest.raises(StoreError, match="refused"):
        index.forget([low.path])
    assert index.is_valid(low.path)


def test_the_schema_refuses_to_forget_a_generation(index: Index) -> None:
    stack = info("stack")
    index.register(stack)
    Generations(index.database).add(_generation(stack.path, 1))
    with pytest.raises(StoreError, match="refused"):
        index.forget([stack.path])
    Generations(index.database).drop("p", [1])
    index.forget([stack.path])


def _generation(path: StorePath, number: int) -> GenerationRow:
    return GenerationRow(
        profile="p",
        number=number,
        path=path,
        created_at=WHEN,
        spec_path="/spec.toml",
        spec_digest=recipe("spec"),
        replaced=None,
    )


def test_numbers_of_generations_are_used_up(index: Index) -> None:
    stack = info("stack")
    index.register(stack)
    rows = [_generation(stack.path, 1), replace(_generation(stack.path, 2), replaced=1)]
    for row in rows:
        Generations(index.database).add(row)
    assert Generations(index.database).of("p") == rows and Generations(index.database).profiles() == ["p"]
    Generations(index.database).drop("p", [2])
    assert Generations(index.database).of("p") == rows[:1]
    assert Generations(index.database).last_number("p") == 2 and Generations(index.database).last_number("other") == 0
    with pytest.raises(StoreError, match="not in the store"):
        Generations(index.database).add(_generation(info("gone").path, 3))


def test_a_recipe_that_gives_another_object_now(index: Index) -> None:
    one, two = info("one", recipe=recipe("r")), info("two")
    index.register(one)
    index.register(two)
    index.realise(recipe("r"), two.path, seconds=2.0)
    assert index.realisation(recipe("r")) == two.path
    with pytest.raises(StoreError, match="not in the store"):
        index.realise(recipe("r"), info("gone").path, seconds=None)


def test_finding_by_prefix_or_name(index: Index) -> None:
    paths = [info(name).path for name in ("low", "high", "l_w")]
    for name in ("low", "high", "l_w"):
        index.register(info(name))
    assert index.find("low") == [paths[0]]
    assert index.find("l_w") == [paths[2]]
    assert index.find(str(paths[1])[:9]) == [paths[1]]
    assert index.find("_" * 9) == [] and index.find("lo") == []


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
        index.register_all((each, ()) for each in infos)
        allowed = not any(low in dead and high not in dead for high, low in links)
        try:
            index.forget([infos[number].path for number in sorted(dead)])
        except StoreError:
            assert not allowed and len(index.objects()) == 8
        else:
            assert allowed and len(index.objects()) == 8 - len(dead)


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
        index.register_all((info(f"o{number}"), ()) for number in range(200))
        index.database.check()
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xee" * (len(data) - 4096)
    file.write_bytes(data)
    with Index(file) as index, pytest.raises(StoreError, match="damaged") as caught:
        index.database.check()
    assert caught.value.hint == "run `vstore reindex`"


def test_a_reference_lost_behind_the_schemas_back_is_found(index: Index, tmp_path: Path) -> None:
    low = info("low")
    index.register(low)
    index.register(info("high", [low.path]))
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
        other.register(info("low"))
    assert not isinstance(caught.value, BusyError)


def test_several_processes_make_the_index_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from vstore.store import Store; sys.stdin.readline();"
        "s = Store.open(Path(sys.argv[1])); print(len(s.index.objects()))"
    )
    children = [run_in_child(code, tmp_path / "root") for _ in range(4)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    assert [child.communicate(timeout=60)[0] for child in children] == ["0\n"] * 4
