"""Values: they behave as frozen dataclasses do."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
from collections.abc import Mapping
from functools import cached_property

import pytest

from vstore.values import frozen, replace


@frozen
class Point:
    x: int
    y: int = 0
    names: Mapping[str, int] = {}

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("left of the origin")

    @property
    def sum(self) -> int:
        return self.x + self.y


@frozen(order=True, kw_only=False)
class Version:
    major: int
    minor: int = 0


@frozen(slots=False)
class Text:
    words: tuple[str, ...]

    @cached_property
    def length(self) -> int:
        return sum(map(len, self.words))


def test_fields_are_checked_and_cannot_change() -> None:
    one = Point(x=1)
    assert (one.x, one.y, one.names, one.sum) == (1, 0, {}, 1)
    assert repr(one) == "Point(x=1, y=0, names={})"
    with pytest.raises(ValueError, match="left of the origin"):
        Point(x=-1)
    with pytest.raises(TypeError, match="x"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="z"):
        Point(x=1, z=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Point(1)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        one.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del one.x
    with pytest.raises(AttributeError):
        one.z = 2  # type: ignore[attr-defined]


def test_equality_hash_and_order_are_of_the_fields() -> None:
    assert Version(1, 2) == Version(1, minor=2) != Version(1)
    assert len({Version(1), Version(1), Version(2)}) == 2
    assert sorted([Version(2), Version(1, 9), Version(1)]) == [Version(1), Version(1, 9), Version(2)]
    assert Version(1) <= Version(1) >= Version(1) and Version(2) > Version(1)
    other: object = Text(words=())
    assert Version(1) != other and other != (())
    with pytest.raises(TypeError):
        assert Version(1) < other  # type: ignore[operator]
    match Version(3, 4):
        case Version(major, minor):
            assert (major, minor) == (3, 4)


def test_cached_properties_are_kept_without_slots() -> None:
    text = Text(words=("a", "bc"))
    assert text.length == 3 and vars(text)["length"] == 3
    assert text == Text(words=("a", "bc"))


def test_copies_and_pickles_are_equal() -> None:
    one = Point(x=1, names={"a": 1})
    assert replace(one, x=2) == Point(x=2, names={"a": 1}) == dataclasses.replace(one, x=2)
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(TypeError):
        replace(one, z=1)  # type: ignore[call-arg]


def test_dataclasses_know_its_fields() -> None:
    assert dataclasses.asdict(Point(x=1)) == {"x": 1, "y": 0, "names": {}}
    assert [field.name for field in dataclasses.fields(Version)] == ["major", "minor"]
    assert dataclasses.is_dataclass(Point)


def test_its_signature_is_that_of_a_dataclass() -> None:
    assert str(inspect.signature(Version)) == "(major: 'int', minor: 'int' = 0) -> None"
