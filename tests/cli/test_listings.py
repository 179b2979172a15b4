"""`--sort`, `--reverse` and the filters of each listing, as text and as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scripts.testing.forked import CommandLine
from scripts.testing.trees import add
from vstore import profile as profiles
from vstore.objects import Kind, StorePath
from vstore.store import Store, add_root

NOW = datetime.now(UTC).replace(microsecond=0)


def make(store: Store, name: str, kind: Kind, *, text: str = "", used_days_ago: int = 0) -> StorePath:
    with store.staging(name) as staged:
        (staged / "a").write_text(text or name)
        path = store.add(staged, name=name, kind=kind).path
    store.last_used.record(path, "nightly", now=NOW - timedelta(days=used_days_ago))
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("listings") / "root"
    with Store.open(root) as store:
        make(store, "python", Kind.RUNTIME, text="p" * 30, used_days_ago=50)
        make(store, "framework-torch", Kind.FRAMEWORK, text="t" * 20, used_days_ago=5)
        stack = make(store, "torch-stack", Kind.STACK, used_days_ago=9)
        add_root(store.layout, store.layout.gcroots / "mine", stack)
        for name, days in (("torch", 40), ("audio", 3)):
            for number in (1, 2):
                path = add(store, f"{name}-{number}")
                moment = NOW - timedelta(days=days - number)
                profiles.append(store, name, path, spec_path=None, spec_digest=None, now=moment)
    return root


def listed(cli: CommandLine, root: Path, *arguments: str) -> Any:
    ended = cli.run("--json", "--root", str(root), *arguments)
    assert ended.code == 0, ended
    return json.loads(ended.out)


def test_objects_are_sorted_by_any_column(cli: CommandLine, root: Path) -> None:
    def names(*arguments: str) -> list[str]:
        return [one["name"] for one in listed(cli, root, "list", *arguments)]

    paths = [one["path"] for one in listed(cli, root, "list")]
    assert paths == sorted(paths)
    assert [one["path"] for one in listed(cli, root, "list", "--reverse")] == paths[::-1]
    kinds = ("--kind", "runtime", "--kind", "stack")
    assert names("--sort", "size", *kinds) == ["torch-stack", "python"]
    assert names("--sort", "size", "--reverse", *kinds) == ["python", "torch-stack"]
    assert names("--sort", "used", *kinds) == ["python", "torch-stack"]
    assert names("--sort", "name") == sorted(names())
    for column in ("kind", "size", "files", "registered", "used", "name", "path"):
        assert sorted(names("--sort", column)) == sorted(names())
    assert "is not one of" in cli.run("--root", str(root), "list", "--sort", "colour").error


def test_objects_are_filtered_by_kind_name_and_use(cli: CommandLine, root: Path) -> None:
    def names(*arguments: str) -> set[str]:
        return {one["name"] for one in listed(cli, root, "list", *arguments)}

    assert names("--kind", "runtime") == {"python"}
    assert names("*torch*") == {"framework-torch", "torch-stack", "torch-1", "torch-2"}
    assert names("torch-1", "python") == {"torch-1", "python"}
    (one,) = listed(cli, root, "list", "python")
    assert names(one["path"][:10]) == {"python"} and one["used_on"] == (NOW - timedelta(days=50)).date().isoformat()
    assert names("--unused-for", "8d", "--kind", "runtime", "--kind", "stack", "--kind", "framework") >= {"python"}
    assert "framework-torch" not in names("--unused-for", "8d")
    assert "nothing" in cli.run("--root", str(root), "list", "none-of-these").out


def test_the_newest_of_each_name(cli: CommandLine, tmp_path: Path) -> None:
    with Store.open(tmp_path / "root") as store:
        old = make(store, "app", Kind.APPLICATION, text="old")
        new = make(store, "app", Kind.APPLICATION, text="new")
        make(store, "other", Kind.APPLICATION)
        with store.database.transaction() as connection:
            connection.execute(
                "UPDATE objects SET registered_at = '2024-01-01T00:00:00+00:00' WHERE path = ?", (str(old),)
            )
    found = {one["path"] for one in listed(cli, tmp_path / "root", "list", "--latest")}
    assert str(new) in found and str(old) not in found and len(found) == 2


def test_profiles_and_generations(cli: CommandLine, root: Path) -> None:
    def names(*arguments: str) -> list[str]:
        return [one["profile"] for one in listed(cli, root, "profiles", *arguments)]

    assert names() == ["audio", "torch"] and names("--reverse") == names("--sort", "created") == ["torch", "audio"]
    assert names("t*") == ["torch"] and names("--unused-for", "20d") == ["torch"]
    generations = listed(cli, root, "history", "torch", "--sort", "created", "--reverse")
    assert [one["generation"] for one in generations] == [2, 1]
    assert [one["generation"] for one in listed(cli, root, "history", "torch", "--sort", "replaced")] == [2, 1]
    assert listed(cli, root, "history", "audio", "--unused-for", "20d") == []


def test_roots(cli: CommandLine, root: Path) -> None:
    def names(*arguments: str) -> list[str]:
        return [
            one["name"]
            for one in json.loads(cli.run("--json", "--root", str(root), "roots", "list", *arguments).out)["roots"]
        ]

    assert names("--kind", "user") == ["gcroots/mine"]
    assert names("*torch*", "--kind", "profile") == ["profiles/torch-1-link", "profiles/torch-2-link"]
    assert "gcroots/mine" in names("torch-stack"), "the name of its object"
    found = listed(cli, root, "roots", "list", "--sort", "exclusive", "--reverse")
    sizes = [one["exclusive_bytes"] for one in found["roots"]]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) == 5
    assert "the store takes" in cli.run("--root", str(root), "roots", "list", "none-of-these").out


def test_the_objects_of_a_cache(cli: CommandLine, root: Path, tmp_path: Path) -> None:
    cache = (tmp_path / "cache").as_uri()
    assert cli.run("--root", str(root), "push", cache, "python", "framework-torch", "torch-stack").code == 0

    def names(*arguments: str) -> list[str]:
        return [one["path"][33:] for one in listed(cli, root, "cache", "ls", cache, *arguments)["objects"]]

    assert names("--sort", "size") == ["torch-stack", "framework-torch", "python"]
    assert names("--sort", "size", "--reverse", "--kind", "runtime", "--kind", "stack") == ["python", "torch-stack"]
    assert names("framework-*") == names("--latest", "--kind", "framework") == ["framework-torch"]
    assert names("--unused-for", "2d") == []
