"""Markers with extras and groups, decided by the chosen ones."""

from __future__ import annotations

import pytest

from vstore.migration.formats.conditions import Conditions

CPU = "extra == 'extra-4-shop-cpu'"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_marker_of_another_machine_can_be_true(machine: str) -> None:
    other = f"sys_platform == 'linux' and platform_machine == '{machine}'"
    possible, marker = Conditions((), ()).decide(f"({other} and extra != 'extra-4-shop-cpu') or {CPU}")
    assert possible and marker is not None and other in marker


def test_a_marker_of_an_extra_that_is_not_chosen_can_not() -> None:
    assert Conditions((), ()).decide(f"sys_platform == 'linux' and {CPU}") == (False, None)
    assert Conditions(("cpu",), ()).decide(f"sys_platform == 'linux' and {CPU}") == (True, "sys_platform == 'linux'")
