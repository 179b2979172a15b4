"""The interpreters of this room have their whole standard library."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def with_whole_pythons(whole_pythons: None) -> None:
    """Use `whole_pythons` in each module."""
