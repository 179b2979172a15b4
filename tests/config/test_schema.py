"""The schema of config.toml takes what the reader takes, and refuses what it refuses in a single value."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from vstore.config.kinds import parse_age
from vstore.config.reader import parse_config
from vstore.config.schema import config_schema
from vstore.errors import UsageError

VALIDATOR = Draft7Validator(config_schema())


def is_read(text: str) -> bool:
    try:
        parse_config(Path("config.toml"), text.encode())
    except UsageError:
        return False
    return True


def test_the_schema_is_one() -> None:
    Draft7Validator.check_schema(config_schema())


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (f'"$schema" = "x.json"\ntrusted_keys = ["a:{"A" * 43}="]\nrequire = 1', True),
        ('[gc]\nkeep = 3\nolder_than = " 30D "\nmax_size = "1.5 TiB"\nmin_free = 5\ngrace = "2w"', True),
        ('[caches]\nnear = "file:///x"\n[caches.far]\nurl = "s3://x"\noptions = { a = "b" }', True),
        ('[locks]\nwait = "10m"', True),
        ("[gc]\nkeep = 0", False),
        ("[gc]\nkeep = true", False),
        ('[gc]\nkeep = "3"', False),
        ("[gc]\nkep = 3", False),
        ('[gc]\ngrace = "1y"', False),
        ("[gc]\ngrace = 3", False),
        ('[gc]\nmax_size = "5X"', False),
        ("[gc]\nmax_size = -1", False),
        ("gc = 3", False),
        ("garbage = 3", False),
        ('trusted_keys = "a:b"', False),
        ("trusted_keys = [1]", False),
        ('trusted_keys = ["a:b"]', False),
        ("[caches]\nnear = 3", False),
        ('[caches]\nnear = "/a/folder"', True),
        ('[caches]\nnear = "a/folder"', False),
        ('[caches.near]\nurl = "ftp://host/x"', False),
        ('[caches.near]\noptions = { a = "b" }', False),
        ('[caches.near]\nurl = "x"\noptions = { a = 1 }', False),
        ('[caches.near]\nurl = "x"\nulr = "x"', False),
    ],
)
def test_schema_and_reader_agree(text: str, good: bool) -> None:
    assert is_read(text) is good
    assert VALIDATOR.is_valid(tomllib.loads(text)) is good


@example("6000W")
@given(st.from_regex(r"\A[0-9.]{0,4} ?[kKmMgGtTsShHdDwWiIbBx]{0,3}\Z"))
def test_sizes_and_ages_of_the_schema_are_those_of_the_reader(value: str) -> None:
    for key in ("max_size", "grace"):
        document = {"gc": {key: value}}
        good = is_read(f'[gc]\n{key} = "{value}"') or (key == "grace" and is_too_long(value))
        assert VALIDATOR.is_valid(document) is good


def is_too_long(age: str) -> bool:
    """Whether an age is refused for its length alone, which a pattern cannot compute."""
    try:
        parse_age(age)
    except ValueError as error:
        return "hundred years" in str(error)
    return False
