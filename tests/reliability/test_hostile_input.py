"""Bytes from outside: taken, or refused in one line; nothing is written where it should not be, nothing is left."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scripts.reliability.fuzz import fuzz, why_no_fuzzing
from scripts.reliability.hostile.readers import READERS, try_reader
from scripts.reliability.hostile.spoil import spoil


@pytest.mark.parametrize("name", READERS)
def test_the_samples_are_valid(name: str) -> None:
    """Otherwise spoiling them would show nothing. Of the tar members that are hostile, none is taken."""
    samples = READERS[name].samples()
    taken = [try_reader(READERS[name], data) for data in samples]
    assert taken[0]
    assert all(taken) or (name == "archive, its tar" and not any(taken[1:]))


@pytest.mark.parametrize("name", READERS)
def test_what_is_hostile_is_refused_or_harmless(name: str) -> None:
    for data in READERS[name].hostile():
        try_reader(READERS[name], data)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_spoilt_bytes(name: str, seed: int) -> None:
    reader, chance = READERS[name], random.Random(seed)
    try_reader(reader, spoil(chance.choice([*reader.samples(), *reader.hostile()]), chance))


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=300))
@example(data=b"")
@example(data=b"0")
@example(data=b"[" * 100_000)
@example(data=b'{"a":' * 50_000)
@example(data=b"a = " + b"[" * 50_000)
@example(data=b"\xff" * 64)
def test_any_bytes(name: str, data: bytes) -> None:
    try_reader(READERS[name], data)


@pytest.mark.slow
@pytest.mark.skipif(why_no_fuzzing() is not None, reason=why_no_fuzzing() or "")
def test_with_coverage_guidance(tmp_path: Path) -> None:
    """A slice of `scripts/reliability/run fuzz`; what it keeps is a start for the next run."""
    found = fuzz("delta", seed=1, runs=300, corpus=tmp_path)
    assert found["inputs"] == 300 and len(list(tmp_path.iterdir())) > 1, found
