"""Editing config.toml: what is set is read again, the rest of the file stays, mistakes change nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from vstore.config import Config, read_config
from vstore.config.editing import ConfigFile
from vstore.config.keys import CACHE, KEYS
from vstore.config.kinds import AGE, CACHE_URL, COUNT, FILE, PLACE, PUBLIC_KEYS, TEXTS_BY_KEY
from vstore.errors import UsageError

KEY, OTHER, THIRD = (f"{name}:{'A' * 43}=" for name in ("builder", "other", "third"))
TEXT = """\
# my store
require = 2   # both

[gc]
keep = 3      # enough

[caches]
near = "https://near.example/x"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text(TEXT)
    return tmp_path / "config.toml"


def test_a_value_is_changed_and_the_rest_stays(file: Path) -> None:
    ConfigFile(file).set("gc.keep", ["7"])
    assert file.read_text() == TEXT.replace("keep = 3", "keep = 7")
    ConfigFile(file).unset("require")
    assert "# my store" in file.read_text()
    assert read_config(file).require == 1


def test_each_key_can_be_set_read_and_unset(tmp_path: Path) -> None:
    file = tmp_path / "new" / "config.toml"
    for key in KEYS:
        name = key.name.replace(CACHE, '"a.b"')
        if key.kind is TEXTS_BY_KEY:
            name += ".aws_region"
        values = {AGE: "2w", COUNT: "5", PUBLIC_KEYS: KEY, CACHE_URL: "file:///x", PLACE: "/advisories", FILE: "/ca"}
        value = values.get(key.kind, "5G")
        ConfigFile(file).set(name, [value])
        if key.path[-1] == "url":
            continue
        assert str(ConfigFile(file).get(name).value).strip("[']") == value
        read_config(file)
        ConfigFile(file).unset(name)
        assert ConfigFile(file).get(name).value is None
    assert [one.url for one in read_config(file).caches] == ["file:///x"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_defaults_are_those_of_the_reader(tmp_path: Path) -> None:
    tables = [(one.path, one.default) for one in KEYS if one.default and CACHE not in one.path]
    (tmp_path / "config.toml").write_text("".join(f"{'.'.join(path)} = {default}\n" for path, default in tables))
    assert read_config(tmp_path / "config.toml") == Config()


def test_a_cache_is_a_url_or_a_table(file: Path) -> None:
    ConfigFile(file).set("caches.near", ["file:///one"])
    assert 'near = "file:///one"' in file.read_text()
    ConfigFile(file).set("caches.near.options.redirects", ["anywhere"])
    ConfigFile(file).set("caches.far.url", ["file:///two"])
    near, far = read_config(file).caches
    assert (near.url, dict(near.options), far.url) == ("file:///one", {"redirects": "anywhere"}, "file:///two")
    ConfigFile(file).unset("caches.near")
    assert [one.name for one in read_config(file).caches] == ["far"]


def test_a_list_is_replaced_or_added_to(file: Path) -> None:
    ConfigFile(file).set("trusted_keys", [KEY, OTHER])
    ConfigFile(file).set("trusted_keys", [OTHER, THIRD], append=True)
    assert read_config(file).trusted_keys == (KEY, OTHER, THIRD)
    with pytest.raises(UsageError, match="is not a list"):
        ConfigFile(file).set("gc.keep", ["1"], append=True)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("gc.kep", ["3"], "no such key"),
        ("gc", ["3"], "no such key"),
        ("", ["3"], "no such key"),
        ("gc.keep = 3\n[x]\ny", ["3"], "no such key"),
        ("caches.near.options", ["3"], "no such key"),
        ("gc.keep", ["0"], "expected a whole number from 1"),
        ("gc.keep", ["1", "2"], "takes one value"),
        ("gc.grace", ["soon"], "expected an age"),
        ("gc.max_size", ["big"], "expected a size"),
        ("caches.far.options.aws_region", ["eu"], "expected a URL"),
        ("caches.far", ["ftp://user:pw@host/x"], "absolute path of a folder, found 'ftp' as its scheme"),
        ("caches.far", ["user:pw@host/x"], "absolute path of a folder, found a relative path"),
        ("trusted_keys", ["nonsense"], "44 characters of base64, found '…'"),
        ("trusted_keys", [KEY, "builder:AAAA"], "44 characters of base64, found 'builder:…'"),
    ],
)
def test_a_mistake_changes_nothing(file: Path, name: str, values: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        ConfigFile(file).set(name, values)
    assert said in caught.value.message
    assert file.read_text() == TEXT


def test_values_that_contradict_others_are_refused(file: Path) -> None:
    ConfigFile(file).set("gc.min_free", ["5G"])
    with pytest.raises(UsageError, match="not below min_free"):
        ConfigFile(file).set("gc.max_free", ["1G"])


def test_unset_of_what_is_not_set_is_an_error(file: Path) -> None:
    for name in ("gc.grace", "locks.wait", "caches.none", "caches.near.options.x"):
        with pytest.raises(UsageError, match="is not set"):
            ConfigFile(file).unset(name)
    assert file.read_text() == TEXT


def test_a_file_with_unknown_keys_can_be_repaired(file: Path) -> None:
    file.write_text('[gc]\nkep = 3\n[garbage]\nx = 1\n[caches.near]\nurl = "file:///x"\nulr = 1\n')
    unknown = [one for one in ConfigFile(file).settings() if one.key is None]
    assert [one.name for one in unknown] == ["gc.kep", "garbage", "caches.near.ulr"]
    assert unknown[0].hint == "did you mean gc.keep?"
    ConfigFile(file).set("gc.keep", ["4"])
    assert "keep = 4" in file.read_text()
    with pytest.raises(UsageError, match="no such key"):
        read_config(file)


def test_a_link_stays_a_link_and_modes_stay(file: Path, tmp_path: Path) -> None:
    file.chmod(0o640)
    (tmp_path / "root").mkdir()
    link = tmp_path / "root" / "config.toml"
    link.symlink_to(file)
    ConfigFile(link).set("gc.keep", ["9"])
    assert link.is_symlink()
    assert read_config(file).gc.keep == 9
    assert file.stat().st_mode & 0o777 == 0o640


def test_what_is_no_toml_is_refused(file: Path) -> None:
    file.write_text("[gc")
    with pytest.raises(UsageError, match="not TOML"):
        ConfigFile(file)
