"""`exec`, `shell` and `activate`: programs of the user in a layer, through the link of the profile."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from scripts.testing.trees import SOURCE
from scripts.testing.world import World
from vstore.api.activation import find_layer, is_of_other_environment
from vstore.store import Store

PROMPTS = {"bash": ".bashrc", "zsh": ".zshrc", "mksh": ".mkshrc", "ksh": ".kshrc", "fish": ".config/fish/config.fish"}
SAY = 'echo "said $VIRTUAL_ENV $HOME $(command -v midtool) $(command -v hello)"\n'
SAY_FISH = 'echo "said $VIRTUAL_ENV $HOME "(command -v midtool)" "(command -v hello)\n'
SAY_CSH = 'echo "said $VIRTUAL_ENV $HOME `which midtool` `which hello`"\n'


def need(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    return found


def run(world: World, *arguments: str, said: str = "", **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command that reads this text from standard input."""
    environment = {**world.environment(), **changes, "PYTHONPATH": str(SOURCE)}
    command = world.command(*arguments)
    return subprocess.run(command, input=said, env=environment, cwd=SOURCE, capture_output=True, text=True, timeout=60)


def layer(world: World, profile: str = "project") -> Path:
    return world.root / "profiles" / profile / "layers/app-hello"


def applications(world: World) -> Path:
    return world.root / "profiles/project/bin"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose shells undo what they inherit, as files of users do."""
    home = tmp_path / "home"
    (home / ".local/share/fish/generated_completions").mkdir(parents=True)  # without it fish reads all manual pages
    for name in PROMPTS.values():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        fish = "set -gx PATH /usr/bin /bin\nfunction fish_prompt; echo -n 'mine '; end\n"
        (home / name).write_text(fish if name.endswith("fish") else "PATH=/usr/bin:/bin\nPS1='mine '\n")
    return home


def test_exec_runs_in_the_layer_of_the_profile(realised: World) -> None:
    out, _ = realised.run("exec", "project", "--", "sh", "-c", SAY, HOME="/home/mine")
    place = layer(realised)
    assert out == f"said {place} /home/mine {place}/bin/midtool {applications(realised)}/hello\n"


def test_the_variables_of_a_layer(realised: World) -> None:
    with Store.open(realised.root, read_only=True) as store:
        found = find_layer(store, "project")
    before = {"PATH": f"/bin:{found.scripts[0]}", "PYTHONHOME": "/nowhere", "LANG": "C"}
    after = found.variables(before)
    assert after["PATH"] == f"{found.scripts[0]}:{found.scripts[1]}:/bin"
    assert after.keys() - before.keys() == {"VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT"} and "PYTHONHOME" not in after


def test_exec_passes_options_on(realised: World) -> None:
    assert "app --json -q" in realised.run("exec", "project", "hello", "--json", "-q")[0]
    assert "app -- x" in realised.run("exec", "project", "--", "hello", "--", "x")[0]
    assert "midtool 1.0" in realised.run("exec", "project/framework-mid", "midtool")[0]


@pytest.mark.parametrize(
    ("start", "warned"),
    [
        ("#!/opt/other/bin/python3\n", True),
        ('#!/bin/sh\n\'\'\'exec\' "/opt/with space/bin/python3" "$0" "$@"\n', True),
        ('#!/usr/bin/env bash\nset -e\nexport PYENV_ROOT="/opt/pyenv"\n', True),
        ("#!/usr/bin/env python3\n", False),
        ("#!/bin/sh\n", False),
    ],
)
def test_exec_warns_of_a_script_of_another_python(realised: World, tmp_path: Path, start: str, warned: bool) -> None:
    program = tmp_path / "othertool"
    program.write_text(start)
    program.chmod(0o755)
    with Store.open(realised.root, read_only=True) as store:
        found = find_layer(store, "project")
    assert is_of_other_environment(found, str(program)) is warned
    assert not is_of_other_environment(found, str(found.scripts[-1] / "midtool"))
    program.write_text(f"#!/bin/sh\n: {'python' if warned else ''}\necho ran\n")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    out, err = realised.run("exec", "project", "othertool", PATH=path)
    assert out == "ran\n"
    assert (f"othertool is not in app-hello: {program} belongs to another environment" in err) is warned
    assert realised.run("exec", "project", str(program), PATH=path)[1] == ""


def test_exec_gives_back_the_code_and_takes_signals(realised: World) -> None:
    realised.run("exec", "project", "sh", "-c", "exit 7", code=7)
    process = realised.start("exec", "project", "sh", "-c", "echo here; exec sleep 60")
    assert process.stdout is not None and process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == -signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="running programs are read from /proc")
@pytest.mark.parametrize("command", [("exec", "project@1", "cat"), ("shell", "project@1")])
def test_a_generation_that_is_named_lives_while_its_program_runs(realised: World, command: tuple[str, ...]) -> None:
    environment = {**realised.environment(), "SHELL": need("bash")}
    with subprocess.Popen(
        realised.command(*command), env=environment, cwd=SOURCE, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdin is not None and program.stdout is not None
        program.stdin.write(b"echo here\n")
        program.stdin.flush()
        assert b"here" in program.stdout.readline()
        roots = realised.json("roots")["roots"]
        program.stdin.close()
    kept = [one["path"] for one in roots if one["name"] == f"process {program.pid}"]
    assert any(path.endswith("-project-stack") for path in kept), roots


def test_exec_records_the_use(world: World) -> None:
    world.run("sql", "SELECT 1")
    world.run("exec", "project", "true")
    rows = world.json("sql", "SELECT * FROM last_used")
    assert rows and "project" in str(rows)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("project", "mdtool"), 13, "did you mean 'midtool'"),
        (("projekt", "true"), 13, "did you mean 'project'"),
        (("project/cpython", "true"), 13, "layers:"),
        (("project",), 2, "missing argument"),
    ],
)
def test_mistakes_of_exec(realised: World, arguments: tuple[str, ...], code: int, text: str) -> None:
    assert text in realised.run("exec", *arguments, code=code)[1]


def test_a_stack_with_several_applications_has_no_layer_of_its_own(world: World) -> None:
    with world.spec.open("a") as spec:
        spec.write('\n[[applications]]\nname = "other"\nlaunch_module = "hello.py"\n')
        spec.write('frameworks = ["mid", "side"]\nrequirements = ["ns-app"]\n')
    world.realise()
    assert "project/app-other" in world.run("exec", "project", "true", code=2)[1]
    world.run("exec", "project/app-other", "midtool")


@pytest.mark.parametrize("shell", ["bash", "zsh", "dash", "ksh", "mksh", "fish"])
def test_a_shell_is_marked_and_follows_the_profile(realised: World, shell: str, home: Path) -> None:
    say = SAY_FISH + "fish_prompt\n" if shell == "fish" else SAY + 'echo "prompt $PS1"\n'
    environment = {"HOME": str(home), "SHELL": need(shell), "ENV": str(home / PROMPTS["mksh"])}
    done = run(realised, "shell", "project", said=say + "exit 5\n", **environment)
    expected = f"said {layer(realised)} {home} {layer(realised)}/bin/midtool {applications(realised)}/hello"
    assert done.returncode == 5, done.stderr
    assert expected in done.stdout, done.stdout + done.stderr
    assert "(app-hello) mine" in done.stdout
    assert "VSTORE_ACTIVATION" not in done.stdout + done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_nested_and_left(realised: World, shell: str, home: Path) -> None:
    """On a terminal: fish reads all of a pipe at once."""
    environment = {**realised.environment(), "HOME": str(home), "SHELL": need(shell), "TERM": "dumb"}
    with Terminal(realised.command("shell", "project"), environment) as terminal:
        outer, inner = layer(realised), layer(realised).with_name("framework-mid")
        assert terminal.ask("$VIRTUAL_ENV") == str(outer)
        terminal.write(shlex.join(realised.command("shell", "project/framework-mid")))
        assert terminal.ask("$VIRTUAL_ENV") == str(inner)
        terminal.write("exit")
        assert terminal.ask("$VIRTUAL_ENV") == str(outer)
        terminal.write("exit 3")
        assert terminal.wait() == 3


class Terminal:
    """A program on a terminal, to which lines are typed."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._asked = 0
        self._process, self._handle = pty.fork()
        if self._process == 0:
            os.chdir(SOURCE)
            os.execve(command[0], command, environment)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def write(self, line: str) -> None:
        os.write(self._handle, f"{line}\r".encode())

    def ask(self, variable: str) -> str:
        """The value of a variable, between two marks that the echo of the line does not have."""
        self._asked += 1
        self.write(f'echo "<"{self._asked}"{variable}>"')
        text = ""
        while not (found := re.search(rf"<{self._asked}(.+?)>", text)):
            ready, _, _ = select.select([self._handle], [], [], 60)
            assert ready, text
            text += os.read(self._handle, 1 << 16).decode()
        return found[1]

    def wait(self) -> int:
        with suppress(OSError):  # the terminal ends with its program
            while os.read(self._handle, 1 << 16):
                pass
        return os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])


@pytest.mark.parametrize("shell", ["bash", "zsh", "dash", "ksh", "mksh", "fish", "tcsh"])
def test_the_commands_of_activate(realised: World, shell: str, tmp_path: Path) -> None:
    program = need(shell)
    commands = realised.json("activate", "project", "--shell", shell)["commands"]
    say = {"fish": SAY_FISH, "tcsh": SAY_CSH}.get(shell, SAY)
    after = {"fish": 'echo "after "(count $VIRTUAL_ENV)\n', "tcsh": 'echo "after $?VIRTUAL_ENV"\n'}
    script = commands + say + "deactivate\n" + after.get(shell, 'echo "after ${VIRTUAL_ENV-0}"\n') + "echo $PATH\n"
    options = ["-f"] if shell in ("zsh", "tcsh") else []
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    file = tmp_path / "script"
    file.write_text(script)
    done = subprocess.run([program, *options, file], env=environment, capture_output=True, text=True)
    first, last, path = done.stdout.splitlines()[-3:]
    place = layer(realised)
    assert first == f"said {place} {tmp_path} {place}/bin/midtool {applications(realised)}/hello", done.stderr
    assert last == "after 0" and path.replace(" ", ":") == "/usr/bin:/bin"


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh", "fish"])
def test_activate_as_the_documents_say(realised: World, shell: str, tmp_path: Path) -> None:
    command = shlex.join(realised.command("activate", "project", "--shell", shell))
    way = {"fish": f"{command} | source", "tcsh": f"eval `{command}`"}.get(shell, f'eval "$({command})"')
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [need(shell), *(["-f"] if shell in ("zsh", "tcsh") else []), "-c", f"{way}; python -c 'import midlib'; hello"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "low 1.0" in done.stdout, done.stderr


def test_activate_names_the_file(realised: World) -> None:
    out, _ = realised.run("activate", "project", "--shell", "fish", "--path")
    assert out == f"{layer(realised)}/bin/activate.fish\n"
    assert "bash, zsh" in realised.run("activate", "project", "--shell", "tcl", code=2)[1]


def test_what_starts_next_follows_a_rollback(world: World) -> None:
    ask = ["python", "-c", "import midlib; print(midlib.VERSION)"]
    world.write_spec("==2.0")
    world.realise()
    environment = {**os.environ, **_variables(world, "project")}
    assert subprocess.check_output(ask, env=environment, text=True) == "2.0\n"
    world.run("rollback", "project")
    assert subprocess.check_output(ask, env=environment, text=True) == "1.0\n"
    pinned = {**os.environ, **_variables(world, "project@2")}
    assert subprocess.check_output(ask, env=pinned, text=True) == "2.0\n"


def _variables(world: World, what: str) -> dict[str, str]:
    lines = world.run("exec", what, "env", "-0")[0].split("\0")
    return dict(line.split("=", 1) for line in lines if line.startswith(("PATH=", "VIRTUAL_ENV=")))
