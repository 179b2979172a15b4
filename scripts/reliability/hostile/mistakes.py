"""Commands with random arguments and options, right, odd and absurd: no traceback, no hang, one error line."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from scripts.reliability.hostile.places import make_decoys, snapshot
from scripts.testing.forked import HUNG, CommandLine, Ended
from scripts.testing.trees import WHEN, add
from vstore import profile as profiles
from vstore.cli.app import cli
from vstore.cli.commands import COMMANDS
from vstore.errors import FOUND_SOMETHING
from vstore.fs.trees.removal import remove_tree
from vstore.objects import Kind
from vstore.store import Store

RIGHT = ("one", "two", "p", "p@1", "1", "30d", "1G", "linux_x86_64", "low", "name", "SELECT 1", "key", "cache", "list")
ODD = (
    *(".", "..", "-", "--", "-1", "0", "99999999999999999999", "1e400", "nan", "inf", "*", "[", "%s", "{}", "@"),
    *("p@", "p@99999999999999999999", "a/b", "~nobody-here", "~", "name:AAAA", "sha256:0", "SELECT", "$HOME"),
    *(
        "file://",
        "file://host/x",
        "file:///gone",
        "gopher://x",
        "s3://",
        "/dev/null",
        "/proc/self/mem",
        "gone",
        "gone/x",
        "file/x",
    ),
    *("", "a b", "'", '"', "\\", "\N{SNOWMAN}", "a\nb", "\x1b[1m", "\udcff", "x" * 300, "x" * 5000, "0" * 32 + "-x"),
)
FILES = (
    *(
        "file",
        "empty",
        "binary",
        "fifo",
        "socket",
        "folder",
        "link",
        "loop",
        "dangling",
        "folder/notes.txt",
        "secret.json",
    ),
    *("deep.toml", "latin.toml", "empty.toml", "cycle.toml", "types.toml", "folder.toml", "many.toml"),
)
NOT_TRIED = {"serve", "scheduler", "worker"}  # which do not end by themselves


def make_files(folder: Path) -> None:
    """One of each kind of file that an argument may name."""
    make_decoys(folder)
    (folder / "empty").touch()
    (folder / "binary").write_bytes(bytes(range(256)) * 40)
    os.mkfifo(folder / "fifo")
    os.mknod(folder / "socket", 0o666 | stat.S_IFSOCK)
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("gone")
    (folder / "deep.toml").write_text("a = " + "[" * 5000 + "]" * 5000)
    (folder / "latin.toml").write_bytes(b'name = "\xe9"\n')
    (folder / "empty.toml").touch()
    (folder / "types.toml").write_text('runtimes = "x"\nframeworks = [1, [], {}]\napplications = {a = nan}\n')
    (folder / "cycle.toml").write_text(
        "".join(f'[[frameworks]]\nname = "f{n}"\nframeworks = ["f{1 - n}"]\n' for n in (0, 1))
    )
    (folder / "many.toml").write_text('[[runtimes]]\nname = "r"\npython_implementation = "cpython@3.11"\n' * 300)
    (folder / "folder.toml").mkdir()
    (folder / "secret.json").write_text('{"vstore": NaN, "a": ' + "[" * 3000)


def make_store(root: Path) -> None:
    """Two objects and a profile."""
    remove_tree(root)
    with Store.open(root) as store:
        one = add(store, "one")
        add(store, "two", references=[one])
        with store.staging("p-stack") as staged:
            (staged / "layers").mkdir()
            (staged / "bin").mkdir()
            (staged / "stack.json").write_bytes(profiles.Stack(name="p", target="linux_x86_64", layers=()).encode())
            stack = store.add(staged, name="p-stack", kind=Kind.STACK).path
        profiles.append(store, "p", stack, spec_path=None, spec_digest=None, now=WHEN)


SHARED_LEFT_OUT = {"root", "color"}  # the root is given; colours would hide the errors


def random_call(chance: random.Random) -> list[str]:
    """A command with arguments of its own kinds, as far as that is not left to chance."""
    name = chance.choice([one for one in COMMANDS if one not in NOT_TRIED])
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    words = [name]
    options = [one for one in command.params if isinstance(one, click.Option) and one.name not in SHARED_LEFT_OUT]
    for option in [one for one in options if one.required or chance.random() < 0.12]:
        words.append(chance.choice(option.opts))
        if not option.is_flag and not option.count:
            words.append(_value(option, chance))
    for argument in (one for one in command.params if isinstance(one, click.Argument)):
        count = chance.choice((0, 1, 1, 2, 3)) if argument.nargs == -1 else int(chance.random() < 0.95)
        words += [_value(argument, chance) for _ in range(count)]
    return words


def _value(param: click.Parameter, chance: random.Random) -> str:
    if isinstance(param.type, click.Choice) and chance.random() < 0.9:
        return str(chance.choice(param.type.choices))
    return chance.choice(chance.choice((RIGHT, ODD, FILES)))


def random_mistakes(work: Path, *, count: int, seed: int) -> Iterator[tuple[Sequence[str], Ended]]:
    """So many calls; AssertionError for one that ends in another way than a command may."""
    chance = random.Random(seed)
    root, case = work / "root", work / "deeper" / "case"
    with CommandLine({"HOME": str(work), "UV_OFFLINE": "1", "UV_NO_INDEX": "1"}) as command_line:
        for number in range(count):
            if number % 25 == 0:
                make_store(root)
                remove_tree(work / "deeper")
                make_files(case)
                before = snapshot(case)
            words = random_call(chance)
            ended = command_line.run("--root", str(root), *words, cwd=case)
            told = f"{words}: {ended.text}"
            assert ended.code != HUNG and "Traceback" not in ended.error, told
            assert 0 <= ended.code < 20, told
            errors = [line for line in ended.error.splitlines() if line.startswith("error: ")]
            assert len(errors) == (1 if ended.code not in (0, 6, FOUND_SOMETHING) else len(errors)), told
            after = snapshot(case)
            assert all(after.get(name) == was for name, was in before.items()), told
            yield words, ended
