"""Completion, asked as each shell asks, and typed into real shells."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from scripts.testing.trees import SOURCE, add
from scripts.testing.world import World
from vstore import profile as profiles
from vstore.cli.app import cli
from vstore.cli.commands import COMMANDS
from vstore.cli.completion import VARIABLE, kind_of, script
from vstore.objects import Kind
from vstore.profile import Stack, StackLayer
from vstore.store import Store
from vstore.target import Target

FREE_TEXT = {"names", "name", "query", "scheduler", "values"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a profile of two generations, a cache, two objects of one name and one named as the profile."""
    folder = tmp_path_factory.mktemp("completion") / "root"
    with Store.open(folder) as store:
        add(store, "project")
        for content in (b"1", b"2"):
            layer = StackLayer(name="app-one", kind=Kind.APPLICATION, path=add(store, "app-one", {"a": content}))
            stack = Stack(name="project", target=str(Target.host()), layers=(layer,))
            made = add(store, "project-stack", {"stack.json": stack.encode()})
            profiles.append(store, "project", made, spec_path=None, spec_digest=None, now=datetime.now(UTC))
    (folder / "config.toml").write_text('[caches]\nnear = "https://user:secret@cache.example/x"\n')
    return folder


def completions(root: Path, line: str) -> list[str]:
    environment = {**os.environ, VARIABLE: "bash_complete", "COMP_WORDS": line, "VSTORE_ROOT": str(root)}
    command = [sys.executable, "-m", "vstore"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SOURCE, env=environment)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vstore rein", ["plain,reindex"]),
        ("vstore roots re", ["plain,remove"]),
        ("vstore realise --platf", ["plain,--platform"]),
        ("vstore realise --platform win", ["plain,win_amd64", "plain,win_arm64"]),
        ("vstore completion b", ["plain,bash"]),
        ("vstore history ", ["plain,project"]),
        ("vstore switch project ", ["plain,2", "plain,1"]),
        ("vstore rollback project --to ", ["plain,2", "plain,1"]),
        ("vstore run project ", ["plain,one"]),
        ("vstore run project@1 o", ["plain,one"]),
        ("vstore run project one ", ["file,"]),
        ("vstore info proj", ["plain,project", "plain,project-stack"]),
        ("vstore info project@", ["plain,project@2", "plain,project@1"]),
        ("vstore info project/a", ["plain,project/app-one"]),
        ("vstore info project@1/", ["plain,project@1/app-one"]),
        ("vstore info project@7/", ["file,project@7/"]),
        ("vstore push ne", ["plain,near"]),
        ("vstore push ./", ["file,./"]),
        ("vstore audit --database advis", ["file,advis"]),
        ("vstore show ", ["file,"]),
        ("vstore config get gc.ke", ["plain,gc.keep"]),
        ("vstore --root ", ["dir,"]),
        ("vstore no-such-command ", None),
        ('vstore info "unfinished', ["file,unfinished"]),
        ("vstore --root /nonexistent history ", []),
    ],
)
def test_what_completes_a_line(root: Path, line: str, expected: list[str] | None) -> None:
    found = completions(root, line)
    if expected is not None:
        assert found == expected


def test_the_layers_of_a_spec_complete_patterns(root: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text('[[runtimes]]\nname = "py"\n[[frameworks]]\nname = "fw"\nrubbish = 1\n[[frameworks]]\nname = 3\n')
    assert completions(root, f"vstore lock {spec} --include ") == ["plain,py", "plain,framework-fw"]


def test_programs_of_a_layer_and_locked_packages_complete(realised: World) -> None:
    assert completions(realised.root, "vstore exec project mid") == ["plain,midtool"]
    assert completions(realised.root, "vstore exec project -- hell") == ["plain,hello"]
    assert completions(realised.root, "vstore exec project midtool hell") == ["file,hell"]
    line = f"vstore lock {realised.spec} --upgrade-package "
    assert completions(realised.root, line) == ["plain,low", "plain,midlib", "plain,ns-app", "plain,ns-side"]


def test_extras_and_groups_of_a_project_complete(root: Path, tmp_path: Path) -> None:
    project = "[project.optional-dependencies]\nclient = []\nserver = []\n[dependency-groups]\ndev = []\n"
    (tmp_path / "pyproject.toml").write_text(project)
    for source in (tmp_path, tmp_path / "pyproject.toml", tmp_path / "uv.lock"):
        assert completions(root, f"vstore init --from {source} --extra ") == ["plain,client", "plain,server"]
    assert completions(root, f"vstore init --from {tmp_path} --group=d") == ["plain,--group=dev"]
    assert completions(root, "vstore init --extra ") == []


def test_objects_complete_by_the_start_of_their_path(root: Path) -> None:
    with Store.open(root, read_only=True) as store:
        path = str(store.objects.all()[0].path)
    assert f"plain,{path}" in completions(root, f"vstore info {path[:3]}")


def test_each_argument_is_completed_or_is_free_text() -> None:
    ctx = click.Context(cli)
    unknown: list[str] = []
    commands = [(name, cli.get_command(ctx, name)) for name in COMMANDS]
    while commands:
        name, command = commands.pop()
        assert command is not None
        if isinstance(command, click.Group):
            commands += [(f"{name} {below}", one) for below, one in command.commands.items()]
        for one in command.params:
            if isinstance(one, click.Option) or kind_of(one) or one.name in FREE_TEXT:
                continue
            if one.type.shell_complete(ctx, one, "") == []:
                unknown.append(f"{name}: {one.name}")
    assert unknown == []


def needs(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


def typed(command: list[str], text: str, environment: dict[str, str]) -> str:
    """Type a text, Tab and, once the shell is quiet, Return into an interactive shell. Return what `vstore` got."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, environment)
    data, end, waiting = "", time.monotonic() + 60, [b"\r", text.encode() + b"\t"]
    try:
        while time.monotonic() < end:
            if select.select([terminal], [], [], 1.0)[0]:
                data += os.read(terminal, 65536).decode("utf-8", "replace")
                if found := re.search(r"vstore got <(.*)>", data):
                    return found[1]
            elif waiting and "ready" in data:
                os.write(terminal, waiting.pop())
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)
    return data


@pytest.fixture
def environment(root: Path, tmp_path: Path) -> dict[str, str]:
    """A shell's environment with `vstore` on PATH, and start files that complete it."""
    command = tmp_path / "bin" / "vstore"
    command.parent.mkdir()
    real = f'exec {sys.executable} -m vstore "$@"'
    command.write_text(
        f'#!/bin/sh\nif [ "$1" = completion ] || [ -n "${VARIABLE}" ]; then {real}; fi\necho "vstore got <$*>"\n'
    )
    command.chmod(0o755)
    (tmp_path / ".bashrc").write_text('PS1="ready> "\neval "$(vstore completion bash)"\n')
    start = 'PS1="ready> "\nautoload -Uz compinit\ncompinit -u\neval "$(vstore completion zsh)"\n'
    (tmp_path / ".zshrc").write_text(start)
    kept = {"LANG": "C.UTF-8", "TERM": "xterm", "HOME": str(tmp_path), "ZDOTDIR": str(tmp_path)}
    path = f"{command.parent}:{os.environ['PATH']}"
    return {**kept, "PATH": path, "VSTORE_ROOT": str(root), "PYTHONPATH": str(SOURCE)}


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vstore rein", "reindex"),
        ("vstore roots rem", "roots remove"),
        ("vstore info project@1/", "info project@1/app-one"),
        ("vstore --color=al", "--color=always"),
        ("vstore push nea", "push near"),
    ],
)
def test_tab_in_a_shell(shell: str, text: str, expected: str, environment: dict[str, str]) -> None:
    needs(shell)
    command = {"bash": ["bash", "--rcfile", f"{environment['HOME']}/.bashrc", "-i"], "zsh": ["zsh", "-i"]}[shell]
    assert typed(command, text, environment).strip() == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vstore rein", ["reindex"]),
        ("vstore info project@", ["project@1", "project@2"]),
        ("vstore switch project ", ["1", "2"]),
        ("vstore push n", ["near"]),
    ],
)
def test_fish_completes(line: str, expected: list[str], environment: dict[str, str]) -> None:
    needs("fish")
    asked = ["fish", "--no-config", "-c", f"vstore completion fish | source; complete -C {line!r}"]
    done = subprocess.run(asked, capture_output=True, text=True, env=environment)
    assert sorted(row.split("\t")[0] for row in done.stdout.splitlines()) == expected
    assert "secret" not in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_valid(shell: str) -> None:
    needs(shell)
    subprocess.run([shell, "-n"], input=script(shell), text=True, check=True)
