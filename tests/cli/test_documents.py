"""Every command prints the JSON document that its type in `vstore.cli.documents` describes: every key, and no other."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NotRequired, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from scripts.cli_reference import commands, documents
from scripts.testing.advisories import advisory, fixed_in, write_database
from scripts.testing.forked import CommandLine
from scripts.testing.wheels import make_wheel
from scripts.testing.world import World, make_world
from vstore.api.publishing import MemberRecord
from vstore.cli.documents import DOCUMENTS, ErrorDocument

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def mistakes(value: object, kind: Any, place: str = "") -> list[str]:
    """Return the differences between a JSON value and a type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        found = [mistakes(value, one, place) for one in inner]
        return min(found, key=lambda lines: (any(line.startswith(f"{place}: ") for line in lines), len(lines)))
    if origin is NotRequired:
        return mistakes(value, inner[0], place)
    if origin is list and isinstance(value, list):
        return [line for number, one in enumerate(value) for line in mistakes(one, inner[0], f"{place}[{number}]")]
    if origin is dict and isinstance(value, dict):
        return [line for key, one in value.items() for line in mistakes(one, inner[1], f"{place}.{key}")]
    if is_typeddict(kind) and isinstance(value, dict):
        return list(_of_object(value, kind, place))
    if kind is Any or (kind is NoneType and value is None):
        return []
    plain = isinstance(kind, type) and not is_typeddict(kind)
    if (
        plain
        and isinstance(value, (int, float) if kind is float else kind)
        and isinstance(value, bool) == (kind is bool)
    ):
        return []
    return [f"{place}: {value!r} is not {kind}"]


def _of_object(value: Mapping[str, object], kind: Any, place: str) -> Iterator[str]:
    hints = get_type_hints(kind, include_extras=True)
    for key, hint in hints.items():
        inner = (get_args(hint) or (hint,))[0]
        if key in value:
            yield from mistakes(value[key], get_type_hints(kind)[key], f"{place}.{key}")
            if (
                key.endswith("_at")
                and kind is not MemberRecord
                and value[key] is not None
                and not _TIME.fullmatch(str(value[key]))
            ):
                yield f"{place}.{key}: {value[key]!r} is not a time"
        elif get_origin(inner) is not NotRequired and key not in kind.__optional_keys__:
            yield f"{place}.{key} is missing"
    for key in value.keys() - hints.keys():
        yield f"{place}.{key} is not described"


class Tried:
    """Runs commands, and checks what they print."""

    def __init__(self, world: World, line: CommandLine) -> None:
        self.world = world
        self._line = line
        self.names: set[str] = set()

    def __call__(self, name: str, *arguments: str, code: int | None = 0) -> Any:
        ended = self._line.run("--root", str(self.world.root), *name.split(), "--json", *arguments)
        assert code in (ended.code, None), ended.text
        document = json.loads(ended.out)
        assert not (wrong := mistakes(document, DOCUMENTS[name])), wrong
        self.names.add(name)
        return document


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    world = make_world(tmp_path_factory.mktemp("world"))
    with CommandLine(world.environment()) as line:
        yield Tried(world, line)


@pytest.mark.slow
def test_every_command_prints_its_document(tried: Tried, tmp_path: Path) -> None:
    world, spec = tried.world, str(tried.world.spec)
    tried("key generate", "builder")
    tried("completion", "bash")
    tried("schema", "spec")
    tried("config list")
    tried("config set", "gc.keep", "3")
    tried("config get", "gc.keep")
    tried("config unset", "gc.keep")
    tried("config path")
    assert tried("key list")
    _specs(tried, spec, tmp_path)
    _generations(tried, spec)
    _objects(tried)
    _kernels(tried, tmp_path)
    _outputs(tried, spec, tmp_path)
    _caches(tried, tmp_path)
    _deletes(tried)
    assert world.root.is_dir()
    documented = {name for name, kind in DOCUMENTS.items() if kind is not None}
    assert tried.names == documented


def _specs(tried: Tried, spec: str, folder: Path) -> None:
    wheels = ("--local-wheels", str(tried.world.wheels), "--no-index")
    assert tried("init", str(folder / "new"))["spec"].endswith("/new/spec.toml")
    (folder / "requirements.txt").write_text("-e .\nlow==1.0\n")
    proposed = tried("init", str(folder / "from"), "--from", str(folder / "requirements.txt"), "--offline")
    assert proposed["layers"] and proposed["left_out"]
    assert tried("profiles") == []
    assert tried("show", spec)["layers"][0]["lock"] != "valid"
    assert tried("lock", spec, "--dry-run")["runtimes"]
    assert tried("realise", spec, "--dry-run", *wheels)["dry_run"]
    assert tried("lock", spec, *wheels)["layers"]
    assert tried("lock", spec, "--check") == {"valid": True}
    nodes = tried("plan", spec)["nodes"]
    (folder / "node.json").write_text(json.dumps(nodes[0]))
    assert tried("build", str(folder / "node.json"))["path"]
    assert tried("realise", spec)["changed"]
    assert not tried("realise", spec)["changed"]
    assert tried("realise", spec, "--dry-run")["dry_run"]
    assert tried("realise", spec, "--include", "app-hello")["generation"] is None
    assert tried("plan", spec)["nodes"]
    assert tried("develop", spec, "--dry-run")["path"]
    assert tried("develop", spec, "--path", str(folder / "env"))["created"]
    shutil.rmtree(folder / "env")  # it keeps the layers alive


def _generations(tried: Tried, spec: str) -> None:
    tried.world.write_spec("==2.0")
    assert tried("realise", spec, "--local-wheels", str(tried.world.wheels), "--no-index")["generation"] == 2
    assert [one["generation"] for one in tried("history", "project")] == [1, 2]
    assert [one["generations"] for one in tried("profiles")] == [2]
    assert tried("activate", "project", "--shell", "bash")["commands"]
    assert tried("diff", "project")["changes"]
    assert tried("switch", "project", "1")["profile"] == "project"
    assert tried("rollback", "project", "--to", "2")["generation"] == 2
    assert tried("forget", "project", "1", "--dry-run")["forgotten"] == [1]
    assert tried("forget", "project", "1")["forgotten"] == [1]


def _objects(tried: Tried) -> None:
    (app, *_) = [one["path"] for one in tried("list") if one["name"] == "app-hello"]
    assert tried("info", app)["references"]
    assert tried("du")["disk_bytes"] > tried("du", app, "--by", "object")["disk_bytes"]
    assert "low" in {one["package"] for one in tried("du", app)["items"]}
    assert tried("sbom", app)["bomFormat"] == "CycloneDX"
    database = write_database(tried.world.folder / "db", advisory("VST-1", "low", *fixed_in("1.1")))
    (found,) = tried("audit", app, "--database", str(database), code=14)["vulnerabilities"]
    assert found["package"] == "low"
    assert tried("report", "-o", str(tried.world.folder / "store.html"))["objects"]
    assert tried("tree", app)["references"]
    assert tried("why-depends", app, "framework-side")["chain"]
    assert tried("why-depends", "framework-side", app)["chain"] == []
    assert tried("log", "framework-side")["log"]
    assert tried("sql", "SELECT count(*) AS number, NULL AS none FROM objects")[0]["none"] is None
    assert tried("sql", "SELECT * FROM objects WHERE 1 = 0") == []
    assert tried("roots list")
    assert tried("roots add", "mine", "framework-side", "--note", "kept", "--expires", "30d")["expires_at"]
    assert tried("roots add", "framework-side")["note"] is None
    assert tried("roots remove", "mine")["removed"]
    assert tried("verify", "--contents")["problems"] == []
    assert tried("optimise", "--dry-run")["dry_run"]
    assert tried("optimise")["objects"]
    assert tried("reindex")["objects"]
    assert tried("doctor", code=None)["objects"], "where tests run, there may be findings"


def _kernels(tried: Tried, folder: Path) -> None:
    place = ("--prefix", str(folder / "jupyter"))
    files = {"ipykernel_launcher.py": ""}
    make_wheel(tried.world.wheels, "ipykernel", "1.0", files)
    spec = folder / "notebook.toml"
    spec.write_text(tried.world.spec.read_text().replace('"low"', '"low", "ipykernel"'))
    (folder / "hello.py").write_text("")
    assert tried("realise", str(spec), "--local-wheels", str(tried.world.wheels), "--no-index")["changed"]
    assert tried("kernel install", "notebook", *place)["ready"]
    assert tried("kernel list", *place)
    assert tried("kernel remove", "notebook", *place)["removed"]
    assert tried("forget", "notebook", "--all")["forgotten"]


def _outputs(tried: Tried, spec: str, folder: Path) -> None:
    assert tried("publish", spec, "--output-dir", str(folder / "out"), "--dry-run")["dry_run"]
    assert tried("publish", spec, "--output-dir", str(folder / "out"))["written"]
    assert tried("publish", spec, "--output-dir", str(folder / "out"))["written"] == []
    assert tried("export", "project", "--output-dir", str(folder / "plain"), "--dry-run")["dry_run"]
    assert tried("export", "project", "--output-dir", str(folder / "plain"))["written"]
    assert tried("export", spec, "--output-dir", str(folder / "plain"))["unchanged"]
    assert tried("pack", "project", "-o", str(folder / "bundle"), "--dry-run")["size_bytes"] is None
    assert tried("pack", "project", "-o", str(folder / "bundle"))["size_bytes"]
    assert tried("image", "project", "-o", str(folder / "image.tar"), "--dry-run")["dry_run"]
    assert tried("image", "project", "-o", str(folder / "image.tar"), "--sbom", "spdx")["images"][0]["layers"]
    assert tried("unpack", str(folder / "bundle"))["added"] == []
    assert tried("unpack", str(folder / "bundle"), "--profile", "unpacked")["changed"]


def _caches(tried: Tried, folder: Path) -> None:
    cache = str(folder / "cache")
    assert tried("push", cache, "project")["channel"] is None
    assert tried("push", cache, "project", "--channel", "stable")["channel"]["number"] == 1
    assert tried("push", cache, "project", "--sbom", "cyclonedx")["sboms"][0]["format"] == "cyclonedx"
    listed = tried("cache ls", cache)
    assert listed["sboms"][0]["signed_by"] == ["builder"]
    assert tried("sbom", "stable", "--from", cache, "--trust", _own_key(tried))["bomFormat"] == "CycloneDX"
    path = listed["objects"][0]["path"]
    assert listed["channels"]
    assert tried("pull", cache, path)["fetched"] == []
    key = tried("key generate", "other")["public"]
    assert tried("pull", cache, "stable", "--trust", key, "--trust", _own_key(tried))["profile"]
    assert tried("cache pin", cache, path)["pinned"]
    assert tried("cache gc", cache, "--dry-run")["deleted"] == []
    assert tried("cache gc", cache)["kept"]
    assert not tried("cache unpin", cache, path)["pinned"]
    assert tried("cache verify", cache, "--contents")["problems"] == []
    next((Path(cache) / "archives").rglob("*.tar.zst")).write_bytes(b"damaged")
    assert tried("cache verify", cache, "--contents", code=10)["problems"]


def _own_key(tried: Tried) -> str:
    keys: list[str] = tried("key list")
    return next(one for one in keys if one.startswith("builder:"))


def _deletes(tried: Tried) -> None:
    assert tried("gc", "--keep", "1", "--dry-run")["deleted"] == []
    assert tried("gc", "--keep", "1")["deleted"]
    (path,) = [one["path"] for one in tried("list") if one["name"] == "app-hello"]
    assert tried("forget", "project", "--all")["forgotten"]
    assert tried("forget", "unpacked", "--all")["forgotten"]
    for profile in tried("profiles"):
        tried("forget", profile["profile"], "--all")
    assert tried("delete", path, "--referrers", "--dry-run")["deleted"] == []
    assert path in tried("delete", path, "--referrers")["deleted"]
    file = next(one for one in (tried.world.root / "store").glob("*-framework-side/**/*.py") if not one.is_symlink())
    file.chmod(0o644)
    file.write_text("changed")
    assert tried("verify", "--contents", code=6)["problems"]


def test_errors_are_documents(tried: Tried) -> None:
    for arguments in (["--json"], ["--json", "cache"], ["nonsense", "--json"], ["list", "--nonsense", "--json"]):
        ended = tried._line.run(*arguments)
        assert ended.code == 2
        assert mistakes(json.loads(ended.out), ErrorDocument) == []


def test_every_command_is_listed_with_its_document() -> None:
    names = {name for name, command, _ in commands() if not hasattr(command, "commands")}
    assert names == set(DOCUMENTS)
    assert [name for name, kind in DOCUMENTS.items() if kind is None] == [
        "run",
        "exec",
        "shell",
        "serve",
        "scheduler",
        "worker",
    ]


def test_keys_have_units() -> None:
    numbers = (int, float, int | None, float | None)
    for kind in documents():
        for key, hint in get_type_hints(kind).items():
            if hint in numbers and any(word in key for word in ("size", "seconds", "bytes", "duration", "elapsed")):
                assert key.endswith(("_bytes", "_seconds")) or key == "archive_size", f"{kind.__name__}.{key}"


class _Example(TypedDict):
    number: int
    texts: list[str]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"number": 1, "texts": []}, []),
        ({"number": 1}, [".texts is missing"]),
        ({"number": 1, "texts": ["a"], "more": 1}, [".more is not described"]),
        ({"number": True, "texts": []}, [".number: True is not <class 'int'>"]),
        ({"number": 1, "texts": [1]}, [".texts[0]: 1 is not <class 'str'>"]),
        ([], None),
    ],
)
def test_the_check_goes_red(value: object, found: list[str] | None) -> None:
    assert mistakes(value, _Example) == found if found is not None else mistakes(value, _Example)
