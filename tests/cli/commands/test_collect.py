"""`gc`, `delete`, `roots` and `forget` as commands, on a store made here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scripts.testing.trees import add, info
from tests.mounts import tmpfs
from vstore import profile as profiles
from vstore.fs.disk import free_bytes
from vstore.fs.trees.usage import used_bytes
from vstore.objects import StorePath
from vstore.reporter import NullReporter
from vstore.store import Provenance, Store, StoreLayout, add_root
from vstore.store.health.optimise import optimise

NOW = datetime.now(UTC).replace(microsecond=0)


class Shop:
    """A store and the real command in a process of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *arguments: str, code: int = 0, fault: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "vstore", "--root", str(self.root), "--no-progress", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "VSTORE_FAULT": fault})
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run("--json", *arguments, code=code).stdout)

    def configure(self, text: str) -> None:
        (self.root / "config.toml").write_text(text)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "root")


def use(store: Store, path: StorePath, days_ago: int, by: str = "nightly") -> StorePath:
    store.last_used.record(path, by, now=NOW - timedelta(days=days_ago))
    return path


def generation(store: Store, path: StorePath, days_ago: int) -> None:
    moment = NOW - timedelta(days=days_ago)
    profiles.append(store, "p", path, spec_path=None, spec_digest=None, now=moment)


@pytest.mark.parametrize(
    "arguments",
    [["gc"], ["gc", "--dry-run"], ["-q", "gc"], ["optimise"], ["delete", "x"], ["reindex"], ["verify", "--repair"]],
)
def test_a_mistyped_root_is_an_error_and_makes_no_store(shop: Shop, arguments: list[str]) -> None:
    assert f"there is no store at {shop.root}" in shop.run(*arguments, code=6).stderr
    assert not shop.root.exists()


def test_the_dry_run_tells_the_order_and_the_reasons(shop: Shop) -> None:
    with Store.open(shop.root) as store:
        young, old = use(store, add(store, "young"), 1), use(store, add(store, "old", {"a": b"x" * 5000}), 19)
    text = shop.run("gc", "--dry-run").stdout.splitlines()
    assert text[0] == f"would delete {old}  4.9 KiB, no root, unused for 19 days, last by nightly"
    assert text[1].startswith(f"would delete {young}  5 B, no root, unused for 1 day")
    assert text[2].startswith("would delete 2 objects")
    planned = shop.json("gc", "--dry-run")
    assert planned["deletable"] == [str(old), str(young)] and planned["deleted"] == []
    assert planned["reasons"][0]["used_by"] == "nightly" and planned["reasons"][0]["size_bytes"] == 5000
    done = shop.json("gc")
    assert (done["deleted"], done["reasons"]) == (planned["deletable"], planned["reasons"])


def test_dead_objects_that_stay_have_a_reason(shop: Shop) -> None:
    with Store.open(shop.root) as store:
        add(store, "dead", {"a": b"x" * 5000})
    shop.configure('[gc]\nmax_size = "20G"\n')
    for options in ([], ["--dry-run"]):
        done = shop.run("gc", *options)
        assert "1 dead object stays: the store takes" in done.stderr and "max_size is 20.0 GiB" in done.stderr
    shop.configure('[gc]\ngrace = "1d"\n')
    done = shop.run("gc", "--until-free", "1024P")
    assert "are free, 1024.0 PiB wanted" in done.stderr and "grace and unused_for spare recent ones" in done.stderr


def test_unused_for_forgets_generations_and_spares_what_was_used(shop: Shop) -> None:
    with Store.open(shop.root) as store:
        paths = [add(store, name) for name in ("first", "second", "third")]
        for path, days in zip(paths, (40, 30, 0), strict=True):
            generation(store, path, days)
        use(store, add(store, "loose"), 3)
        use(store, add(store, "dusty"), 33)
    done = shop.json("gc", "--unused-for", "7d", "--dry-run")
    assert done["forgotten"] == [{"profile": "p", "generation": 1}], "the second was current until today"
    assert [path[33:] for path in done["deletable"]] == ["dusty", "first"]
    assert shop.json("gc", "--unused-for", "7d")["deleted"] == done["deletable"]
    assert [one["generation"] for one in shop.json("history", "p")] == [2, 3]


def test_the_policy_of_config_toml_and_options_over_it(shop: Shop) -> None:
    with Store.open(shop.root) as store:
        for number in range(4):
            generation(store, add(store, f"n{number}"), 0)
        add(store, "dead")
    shop.configure('[gc]\nkeep = 3\ngrace = "1h"\n')
    done = shop.json("gc", "--dry-run")
    assert done["forgotten"] == [{"profile": "p", "generation": 1}] and done["deletable"] == []
    done = shop.json("gc", "--grace", "0s", "--keep", "2")
    assert len(done["forgotten"]) == 2 and len(done["deleted"]) == 3
    shop.configure("[gc]\nkeeep = 3\n")
    error = shop.json("gc", code=2)["error"]
    assert "config.toml: gc.keeep: no such key" in error["message"] and "keep" in error["hint"]


def test_ceiling_and_limit(shop: Shop) -> None:
    with Store.open(shop.root) as store:
        for number in range(4):
            use(store, add(store, f"n{number}", {"a": bytes([number]) * 10_000_000}), 9 - number)
    ceiling = str(used_bytes(shop.root) - 15_000_000)
    assert [path[33:] for path in shop.json("gc", "--dry-run", "--max-size", ceiling)["deletable"]] == ["n0", "n1"]
    assert len(shop.json("gc", "--dry-run", "--max-size", "0", "--max-freed", "1")["deletable"]) == 1
    assert shop.json("gc", "--until-free", "1")["deleted"] == []
    assert len(shop.json("gc", "--max-size", ceiling)["deleted"]) == 2
    assert used_bytes(shop.root) < int(ceiling)
    assert shop.json("gc", "--max-size", ceiling)["deleted"] == []


def shared(store: Store, name: str, data: bytes, days_ago: int) -> StorePath:
    """An object whose large file is shared with a place outside the store, and one small file of its own."""
    path = use(store, add(store, name, {"large": data, "small": name.encode()}), days_ago)
    os.link(store.layout.object(path) / "large", store.layout.root.parent / name)
    return path


@pytest.mark.root
def test_freed_is_what_the_disk_got_back(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", 256 << 20) as disk:
        shop = Shop(disk / "root")
        with Store.open(shop.root) as store:
            twins = [add(store, name, {"a": b"twin" * 1_000_000, "b": name.encode()}) for name in ("one", "two")]
            add_root(store.layout, store.layout.gcroots / "mine", add(store, "kept", {"a": b"kept" * 1_000_000}))
            add(store, "like-kept", {"a": b"kept" * 1_000_000, "b": b"x" * 500_000})
            shared(store, "outside", b"x" * 3_000_000, 0)
            optimise(store, reporter=NullReporter())
            (store.layout.tmp / "left-1234").mkdir()
            (store.layout.tmp / "left-1234" / "a").write_bytes(b"x" * 300_000)
        planned = shop.json("delete", "one", "--dry-run")
        assert planned["freed_bytes"] < 100_000, "two holds the large file as well"
        free = free_bytes(disk)
        assert shop.json("delete", "one")["freed_bytes"] == planned["freed_bytes"] == free_bytes(disk) - free
        planned = shop.json("gc", "--dry-run")
        assert 4_800_000 < planned["freed_bytes"] < 5_000_000
        assert str(twins[1]) in planned["deletable"]
        free = free_bytes(disk)
        done = shop.json("gc")
        assert (done["deleted"], done["freed_bytes"]) == (planned["deletable"], planned["freed_bytes"])
        assert abs(free_bytes(disk) - free - done["freed_bytes"]) < 200_000, (
            "but for the index, which grows and shrinks"
        )


@pytest.mark.root
def test_until_free_goes_on_until_the_disk_has_it(tmp_path: Path) -> None:
    """Objects that are used longest ago and share all they have give nothing: the next ones go as well."""
    with tmpfs(tmp_path / "small", 256 << 20) as disk:
        shop = Shop(disk / "root")
        with Store.open(shop.root) as store:
            for number in range(3):
                shared(store, f"shared{number}", bytes([number]) * 5_000_000, 9)
            for number in range(4):
                use(store, add(store, f"n{number}", {"a": bytes([9 - number]) * 5_000_000}), 8 - number)
        wanted = free_bytes(disk) + 8_000_000
        planned = shop.json("gc", "--dry-run", "--until-free", str(wanted))
        done = shop.json("gc", "--until-free", str(wanted))
        names = [path[33:] for path in done["deleted"]]
        assert (planned["deletable"], sorted(names)) == (done["deleted"], ["n0", "n1", "shared0", "shared1", "shared2"])
        assert free_bytes(disk) >= wanted


def test_delete_refuses_with_the_root(shop: Shop) -> None:
    with Store.open(shop.root) as store:
        low = add(store, "low")
        top = add(store, "top", references=[low])
        generation(store, top, 0)
    error = shop.json("delete", "low", code=6)["error"]
    assert error["details"] == ["profile profiles/p-1-link", f"  -> {top}", f"    -> {low}"]
    assert "switch p to another" in error["hint"]
    with Store.open(shop.root) as store:
        loose = add(store, "loose")
    assert shop.json("delete", "loose", "--dry-run")["deletable"] == [str(loose)]
    assert shop.json("delete", "loose")["deleted"] == [str(loose)]
    shop.run("delete", "loose", code=13)


def test_pins_have_a_note_and_an_end(shop: Shop) -> None:
    with Store.open(shop.root) as store:
        low = add(store, "low", {"a": b"x" * 500_000})
        one, two = add(store, "one", references=[low]), add(store, "two", references=[low])
    shop.run("roots", "add", "one", "--note", "for the talk", "--expires", "30d")
    shop.run("roots", "add", "second", "two")
    rows = {row["name"]: row for row in shop.json("roots")["roots"]}
    pinned = rows[f"gcroots/{one}"]
    assert pinned["note"] == "for the talk" and pinned["expires_at"][:10] == str((NOW + timedelta(days=30)).date())
    assert rows["gcroots/second"]["note"] is None and rows["gcroots/second"]["exclusive_bytes"] < 100_000
    text = shop.run("roots").stdout
    assert shop.json("roots")["store_bytes"] > 500_000
    assert "for the talk" in text and "the store takes" in text
    assert shop.json("gc")["deleted"] == []
    shop.run("roots", "remove", str(one))
    assert shop.json("gc")["deleted"] == [str(one)]
    (pinned,) = shop.json("roots")["roots"]
    assert pinned["exclusive_bytes"] >= 500_000
    assert list(StoreLayout(shop.root).gcroots.glob(".*")) == []
    assert str(two) in shop.json("list")[1]["path"] or str(two) in shop.json("list")[0]["path"]


@pytest.mark.slow
def test_an_expired_pin_does_not_count_and_goes(shop: Shop) -> None:
    with Store.open(shop.root) as store:
        path = add(store, "low")
    shop.run("roots", "add", "mine", "low", "--expires", "6s")
    assert shop.json("gc", "--dry-run")["deletable"] == []
    time.sleep(6.1)
    assert shop.json("roots")["roots"] == []
    assert shop.json("gc", "--dry-run")["deletable"] == [str(path)]
    assert os.path.lexists(shop.root / "gcroots" / "mine"), "a dry run touches nothing"
    assert shop.json("gc")["deleted"] == [str(path)]
    assert sorted(place.name for place in (shop.root / "gcroots").iterdir()) == ["auto", "temp"]


@pytest.mark.parametrize("wrong", ["yesterday", "2020-01-01", "3y"])
def test_an_end_that_makes_no_sense(shop: Shop, wrong: str) -> None:
    with Store.open(shop.root) as store:
        add(store, "low")
    shop.run("roots", "add", "low", "--expires", wrong, code=2)
    shop.run("roots", "list", "--note", "x", code=2)


def test_forget_unused(shop: Shop) -> None:
    with Store.open(shop.root) as store:
        for number, days in enumerate((90, 60, 0)):
            generation(store, add(store, f"n{number}"), days)
    assert shop.json("forget", "p", "--unused-for", "30d", "--keep", "3")["forgotten"] == []
    assert shop.json("forget", "p", "--unused-for", "30d")["forgotten"] == [1]


@pytest.fixture
def shop_of_three(shop: Shop) -> Shop:
    with Store.open(shop.root) as store:
        for number in range(3):
            generation(store, add(store, f"n{number}"), 9 - number)
    return shop


@pytest.mark.parametrize("how", [["1", "2"], ["--keep", "1"], ["--older-than", "1d"], ["--all"]])
def test_forgetting_says_beforehand_what_it_forgets(shop_of_three: Shop, how: list[str]) -> None:
    planned = shop_of_three.json("forget", "p", *how, "--dry-run")
    assert len(shop_of_three.json("history", "p")) == 3
    assert "would forget" in shop_of_three.run("forget", "p", *how, "--dry-run").stdout
    done = shop_of_three.json("forget", "p", *how)
    assert (planned["forgotten"], planned["dry_run"], done["dry_run"]) == (done["forgotten"], True, False)
    assert done["forgotten"] == ([1, 2, 3] if how == ["--all"] else [1, 2])


def test_a_dry_run_refuses_what_forgetting_refuses(shop_of_three: Shop) -> None:
    for numbers in (["3"], ["7"], ["--all", "1"], ["--all", "--keep", "1"], []):
        code = 8 if numbers in (["3"], ["7"]) else 2
        said = [shop_of_three.run("forget", "p", *numbers, *dry, code=code).stderr for dry in ([], ["--dry-run"])]
        assert said[0] == said[1]
    assert "`vstore forget p --all` removes the whole" in shop_of_three.run("forget", "p", "3", code=8).stderr


def test_a_whole_profile_is_removed(shop_of_three: Shop) -> None:
    shop = shop_of_three
    assert shop.json("forget", "p", "--all")["forgotten"] == [1, 2, 3]
    assert shop.json("profiles") == [] == shop.json("roots")["roots"]
    assert os.listdir(shop.root / "profiles") == [".p-3.json"], "what shows that the numbers are used up"
    shop.run("forget", "p", "--all", code=13)
    assert len(shop.json("gc")["deleted"]) == 3
    assert list((shop.root / "store").iterdir()) == []
    shop.run("reindex")
    with Store.open(shop.root) as store:
        generation(store, add(store, "new"), 0)
        assert [one.number for one in profiles.history(store, "p")] == [4], "numbers are never used again"


@pytest.mark.skipif(sys.platform == "win32", reason="kills")
@pytest.mark.parametrize("point", ["profile-removed", "index-written", "generations-dropped"])
def test_killed_while_forgetting_a_whole_profile(shop_of_three: Shop, point: str) -> None:
    shop = shop_of_three
    shop.run("forget", "p", "--all", code=-9, fault=point)
    assert shop.json("verify", "--contents")["problems"] == []
    if point == "index-written":
        assert len(shop.json("history", "p")) == 3
        assert (shop.root / "profiles" / "p").exists()
        assert shop.json("forget", "p", "--all")["forgotten"] == [1, 2, 3]
    else:
        assert shop.json("profiles") == []
        shop.run("forget", "p", "--all", code=13)
    assert len(shop.json("gc", "--dry-run")["deletable"]) == 3
    assert len(shop.json("gc")["deleted"]) == 3
    assert os.listdir(shop.root / "profiles") == [".p-3.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills")
def test_a_generation_that_a_killed_process_forgot_keeps_nothing(shop_of_three: Shop) -> None:
    shop_of_three.run("forget", "p", "1", code=-9, fault="generations-dropped")
    assert [one["generation"] for one in shop_of_three.json("history", "p")] == [2, 3]
    assert len(shop_of_three.json("gc")["deleted"]) == 1
    assert sorted(os.listdir(shop_of_three.root / "profiles")) == [
        ".p-2.json",
        ".p-3.json",
        "p",
        "p-2-link",
        "p-3-link",
    ]


def test_a_long_list_in_json_is_one_document(shop: Shop) -> None:
    with Store.open(shop.root) as store:
        store.objects.register_all((info(f"n{number}"), Provenance()) for number in range(2500))
    text = shop.run("--json", "list").stdout
    assert len(json.loads(text)) == 2500
    assert text == json.dumps(json.loads(text), indent=2) + "\n"


def test_a_root_ends_by_any_name_that_made_it(shop: Shop) -> None:
    with Store.open(shop.root) as store:
        low = add(store, "low")
    for named in ("low", str(low), low.short, f"gcroots/{low}", str(shop.root / "gcroots" / str(low))):
        shop.run("roots", "add", "low")
        assert shop.json("roots", "remove", named)["removed"] == str(shop.root / "gcroots" / str(low))
    shop.run("roots", "add", "one", "low")
    shop.run("roots", "add", "two", "low")
    several = shop.run("roots", "remove", "low", code=2).stderr
    assert "2 roots keep low" in several and "gcroots/one" in several and "gcroots/two" in several
    shop.run("roots", "remove", "one")
    shop.run("roots", "remove", str(shop.root / "store" / str(low) / "a"))
    assert shop.json("roots")["roots"] == []
    assert "no root of a user keeps" in shop.run("roots", "remove", "low", code=13).stderr
    assert "not a root: nothing" in shop.run("roots", "remove", "nothing", code=13).stderr
