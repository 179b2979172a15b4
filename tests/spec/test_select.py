"""The selection of layers, with the semantics of venvstacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.specs import PYTHON, application, framework, layer, loaded
from vstore.errors import UsageError
from vstore.spec import Spec
from vstore.spec.select import Operation, SelectionRequest, select_layers
from vstore.target import Target

# frameworks B and C on A, D on B and C, E on B; applications on D and E, and on the runtime
DIAMOND = (
    PYTHON
    + framework("A", 'runtime = "python"')
    + framework("B", 'frameworks = ["A"]')
    + framework("C", 'frameworks = ["A"]')
    + framework("D", 'frameworks = ["B", "C"]')
    + framework("E", 'frameworks = ["B"]')
    + application("both", 'frameworks = ["D", "E"]')
    + application("bare", 'runtime = "python"')
    + application("off", 'runtime = "python"', "platforms = []")
    + application("mac", 'runtime = "python"', 'platforms = ["macosx_arm64"]')
)
LOCK, LOCK_IF_NEEDED, RESET_LOCK = Operation.LOCK, Operation.LOCK_IF_NEEDED, Operation.RESET_LOCK
BUILD, BUILD_IF_NEEDED = Operation.BUILD, Operation.BUILD_IF_NEEDED


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    return loaded(tmp_path, DIAMOND)


def chosen(spec: Spec, request: SelectionRequest) -> dict[str, list[str]]:
    """The operations in short, by the layers' names without prefixes."""
    selection = select_layers(spec, request, Target.LINUX_X86_64)
    short = {name.removeprefix("framework-").removeprefix("app-"): ops for name, ops in selection.operations.items()}
    return {name: [str(one) for one in ops] for name, ops in short.items()}


def test_without_patterns_all_layers_are_meant_but_those_switched_off(spec: Spec) -> None:
    everything = chosen(spec, SelectionRequest(lock=LOCK, build=True))
    assert set(everything) == {"python", "A", "B", "C", "D", "E", "both", "bare", "mac"}
    assert everything["A"] == ["lock", "build"]
    assert everything["mac"] == ["lock"]


def test_locking_takes_what_is_above_and_what_is_needed_below(spec: Spec) -> None:
    assert chosen(spec, SelectionRequest(include=("framework-E",), lock=LOCK)) == {
        "python": ["lock-if-needed"],
        "A": ["lock-if-needed"],
        "B": ["lock-if-needed"],
        "C": ["lock-if-needed"],  # below the dependent application
        "D": ["lock-if-needed"],
        "E": ["lock"],
        "both": ["lock"],
    }


def test_dependencies_are_treated_alike_or_left_alone(spec: Spec) -> None:
    request = SelectionRequest(include=("app-both",), lock=LOCK, dependencies=True)
    assert chosen(spec, request) == {name: ["lock"] for name in ("python", "A", "B", "C", "D", "E", "both")}
    assert chosen(spec, SelectionRequest(include=("app-both",), lock=LOCK, dependencies=False)) == {"both": ["lock"]}


def test_realising_takes_only_what_is_needed_below(spec: Spec) -> None:
    assert chosen(spec, SelectionRequest(include=("framework-B",), build=True)) == {
        "python": ["lock-if-needed", "build-if-needed"],
        "A": ["lock-if-needed", "build-if-needed"],
        "B": ["lock-if-needed", "build"],
    }
    assert chosen(spec, SelectionRequest(include=("framework-B",), lock=None, build=True, dependencies=True)) == {
        "python": ["build"],
        "A": ["build"],
        "B": ["build"],
    }


def test_dependents_are_realised_where_asked_for(spec: Spec) -> None:
    dependents = chosen(spec, SelectionRequest(include=("framework-C",), build=True, dependents=True))
    assert {name for name, ops in dependents.items() if "build" in ops} == {"C", "D", "both"}
    assert {name for name, ops in dependents.items() if "build-if-needed" in ops} == {"python", "A", "B", "E"}


def test_above_one_and_below_another_is_a_conflict(spec: Spec) -> None:
    include = ("framework-A", "app-both")
    with pytest.raises(
        UsageError, match=r"conflicting lock instructions for .*framework-B.*: above one included layer"
    ) as caught:
        chosen(spec, SelectionRequest(include=include, lock=LOCK))
    assert "--dependencies" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="conflicting build instructions"):
        chosen(spec, SelectionRequest(include=include, build=True, dependents=True))
    assert chosen(spec, SelectionRequest(include=include, lock=LOCK, dependencies=True))["B"] == ["lock"]
    assert chosen(spec, SelectionRequest(include=include))["B"] == ["lock-if-needed"]
    assert chosen(spec, SelectionRequest(include=(*include, "framework-[B-E]"), lock=LOCK))["B"] == ["lock"]


def test_resetting_concerns_what_is_locked_anyway(spec: Spec) -> None:
    assert chosen(spec, SelectionRequest(reset=("framework-A",)))["A"] == ["reset-lock", "lock"]
    assert chosen(spec, SelectionRequest(reset=("framework-A",)))["B"] == ["lock-if-needed"]
    assert chosen(spec, SelectionRequest(include=("framework-B",), reset=("framework-A",)))["A"] == ["lock-if-needed"]
    request = SelectionRequest(include=("framework-B",), reset=("framework-A",), dependencies=True)
    assert chosen(spec, request)["A"] == ["reset-lock", "lock"]


def test_a_pattern_must_match_unless_allowed(spec: Spec) -> None:
    for name in ("nothing*", "app-off"):
        with pytest.raises(UsageError, match="no such layer") as caught:
            chosen(spec, SelectionRequest(include=("framework-A", name)))
        assert "framework-E" in (caught.value.hint or "")
    request = SelectionRequest(include=("framework-A", "nothing*"), allow_missing=True, build=True)
    selection = select_layers(spec, request, Target.LINUX_X86_64)
    assert selection.unmatched == ("nothing*",)
    assert set(selection.operations) == {"python", "framework-A"}


def test_one_layer_may_satisfy_several_patterns(spec: Spec) -> None:
    assert set(chosen(spec, SelectionRequest(include=("*-bare", "app-b?re"), build=True))) == {"python", "bare"}


def test_patterns_heed_case(spec: Spec) -> None:
    with pytest.raises(UsageError):
        chosen(spec, SelectionRequest(include=("framework-a",)))


def test_another_runtime_stays_out(tmp_path: Path) -> None:
    other = layer("runtimes", "other", 'python_implementation = "cpython@3.12.1"')
    spec = loaded(tmp_path, PYTHON + other + framework("A", 'runtime = "python"'))
    assert set(chosen(spec, SelectionRequest(include=("framework-A",), build=True))) == {"python", "A"}
