import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.spec.graph import LinearisationError, find_cycle, linearise, merge

Bases = dict[str, tuple[str, ...]]


@st.composite
def class_graphs(draw: st.DrawFn) -> Bases:
    """Up to eight classes, each on some of those before it, in any order."""
    graph: Bases = {}
    for number in range(draw(st.integers(1, 8))):
        names = draw(st.lists(st.sampled_from(sorted(graph)), unique=True, max_size=4)) if graph else []
        graph[f"C{number}"] = tuple(names)
    return graph


def python_order(graph: Bases) -> dict[str, tuple[str, ...] | None]:
    """What Python says: the method resolution order without the class itself and object; None for a TypeError."""
    classes: dict[str, type] = {}
    orders: dict[str, tuple[str, ...] | None] = {}
    for name, bases in graph.items():
        if any(base not in classes for base in bases):
            orders[name] = None
            continue
        try:
            classes[name] = type(name, tuple(classes[base] for base in bases), {})
        except TypeError:
            orders[name] = None
        else:
            orders[name] = tuple(each.__name__ for each in classes[name].__mro__[1:-1])
    return orders


def our_order(graph: Bases) -> dict[str, tuple[str, ...] | None]:
    orders: dict[str, tuple[str, ...]] = {}
    for name, bases in graph.items():
        if all(base in orders for base in bases):
            try:
                orders[name] = linearise(bases, orders)
            except LinearisationError:
                continue
    return {name: orders.get(name) for name in graph}


@given(class_graphs())
def test_c3_agrees_with_python(graph: Bases) -> None:
    assert our_order(graph) == python_order(graph)


def test_the_worked_example_of_venvstacks() -> None:
    graph: Bases = {"A": (), "B": ("A",), "C": ("A",), "D": ("B", "C"), "E": ("B",), "F": ("E",), "app": ("D", "F")}
    orders = our_order(graph)
    assert orders["D"] == ("B", "C", "A")
    assert orders["F"] == ("E", "B", "A")
    assert orders["app"] == ("D", "F", "E", "B", "C", "A")


def test_a_conflict_tells_the_orders() -> None:
    with pytest.raises(LinearisationError) as caught:
        merge([["x", "a", "b"], ["b", "a"]])
    assert caught.value.remaining == (("a", "b"), ("b", "a"))


def test_the_shortest_cycle_is_found() -> None:
    edges = {"a": ["b", "d"], "b": ["c"], "c": ["a"], "d": ["a"], "e": ["a"]}
    assert find_cycle("a", edges) == ("a", "d")
    assert find_cycle("b", edges) == ("b", "c", "a")
    assert find_cycle("e", edges) is None
    assert find_cycle("x", {"x": ["x"]}) == ("x",)
