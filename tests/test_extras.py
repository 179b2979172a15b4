"""Without an extra, what needs it is refused in one line, and everything else works."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from vstore.errors import UsageError
from vstore.extras import EXTRAS
from vstore.fs.trees.scan import scan
from vstore.remote.sync.delta import make_delta
from vstore.store import Store

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
BLOCKED = sorted(name for names in EXTRAS.values() for name in names)
RUN = f"""
import sys
sys.modules.update(dict.fromkeys({BLOCKED!r}))
from vstore.cli import main
main(sys.argv[1:])
"""


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_extra_is_in_the_project_and_in_the_guide() -> None:
    guide = (ROOT / "docs/guides/install.md").read_text("utf-8")
    assert re.findall(r"^\| `vstore\[(\w+)\]` \|", guide, re.MULTILINE) == [*sorted(EXTRAS), "all"]
    assert PROJECT["optional-dependencies"]["all"] == [f"vstore[{','.join(sorted(EXTRAS))}]"]


@pytest.mark.parametrize(
    ("extra", "arguments", "user"),
    [
        ("conda", ("init", "--from", "environment.yml"), "environments of conda"),
        ("buckets", ("cache", "ls", "s3://bucket/cache"), "caches in buckets (s3://bucket/cache)"),
        ("serve", ("serve", "--port", "0"), "servers"),
    ],
)
def test_a_missing_extra_is_told(tmp_path: Path, extra: str, arguments: tuple[str, ...], user: str) -> None:
    Store.open(tmp_path / "root").close()
    assert run(tmp_path / "root", "list").returncode == 0
    (tmp_path / "environment.yml").write_text("name: x\ndependencies: []\n")
    given = [str(tmp_path / one) if one.endswith(".yml") else one for one in arguments]
    done = run(tmp_path / "root", *given)
    first, hint = done.stderr.strip().splitlines()[-2:]
    assert done.returncode == 2 and done.stdout == ""
    assert first.endswith(f"{user} need packages that are not installed: {', '.join(EXTRAS[extra])}")
    assert f"uv tool install '.[{extra}]'" in hint


def test_deltas_are_made_with_their_extra_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hdiffpatch", None)
    nothing = scan(tmp_path)
    with pytest.raises(UsageError, match=r"^deltas need packages that are not installed: hdiffpatch\n"):
        make_delta(tmp_path, nothing, tmp_path, nothing)


def test_the_extras_are_those_of_the_project() -> None:
    declared = {
        extra: tuple(re.split(r"[^\w.-]", text)[0] for text in texts)
        for extra, texts in PROJECT["optional-dependencies"].items()
    }
    modules = {"pyyaml": "yaml"}  # the others have the names of their modules
    assert {extra: tuple(modules.get(name, name) for name in declared[extra]) for extra in EXTRAS} == EXTRAS
    assert declared.keys() - EXTRAS.keys() == {"all", "dev", "fuzz"}
    assert PROJECT["optional-dependencies"]["all"] == [f"vstore[{','.join(EXTRAS)}]"]
