"""``config.toml``: what is read, and how a mistake in it is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from vstore.config import Config, parse_age, parse_size, read_config
from vstore.errors import UsageError


def test_no_file_is_all_defaults(tmp_path: Path) -> None:
    assert read_config(tmp_path / "config.toml") == Config()


def test_every_key(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[gc]\nkeep = 3\nolder_than = "30d"\nunused_for = "2w"\ngrace = "1h"\nmax_size = "1.5T"\n'
        'max_freed = 1000\nmin_free = "5 GiB"\nmax_free = "10G"\n'
    )
    config = read_config(file)
    assert (config.gc.keep, config.gc.older_than, config.gc.unused_for) == (3, timedelta(days=30), timedelta(days=14))
    assert (config.gc.grace, config.gc.max_size, config.gc.max_freed) == (timedelta(hours=1), 3 << 39, 1000)
    assert (config.gc.min_free, config.gc.max_free) == (5 << 30, 10 << 30)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[gc]\nkeep = "3"', "gc.keep: expected a whole number from 1, found '3'"),
        ("[gc]\nkeep = true", "gc.keep: expected a whole number"),
        ("[gc]\nolder_than = 30", 'gc.older_than: expected an age such as "30d", found 30'),
        ('[gc]\nmax_size = "big"', "gc.max_size: expected a size"),
        ("[gc]\nmin_free = -1", "gc.min_free: expected a size"),
        ('[gc]\nmin_free = "2G"\nmax_free = "1G"', "gc.max_free: expected a size not below min_free"),
        ("[gc]\nkeeps = 3", "gc.keeps: no such key"),
        ("gc = 3", "gc: expected a table, found 3"),
        ("[garbage]\nkeep = 3", "garbage: no such key"),
        ("[gc", "not TOML"),
        ('trusted_keys = ["a:secret"]', "trusted_keys: expected a list of keys, each name:base64"),
        ('[caches.near]\nurl = "near"', "caches.near.url: expected a URL"),
        ('[caches]\nnear = "near"', "caches.near: expected a URL"),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_config(file)
    assert str(caught.value).startswith(f"{file}: ") and said in str(caught.value)


def test_ages_and_sizes() -> None:
    assert parse_age("90s") == timedelta(seconds=90) and parse_size("2kb") == 2048
    for wrong in ("", "d", "1y", "1.5d", "-1d"):
        with pytest.raises(ValueError, match="is not an age"):
            parse_age(wrong)
    for wrong in ("", "G", "1X", "-5"):
        with pytest.raises(ValueError, match="is not a size"):
            parse_size(wrong)
