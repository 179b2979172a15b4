"""Run the commands of a page of the docs in a new home, and compare what they print: `-m scripts.tutorial --help`.

A block of ``console`` has commands after ``$`` and, until the next one, their standard output. A line after ``>``
continues a command. All commands of a page run in one bash. Numbers, digests, keys and the order of the lines of an
output may differ from those of the page.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import uv

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
_BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^\$ (.*(?:\n>.*)*)\n", re.MULTILINE)
_LINE = re.compile(r"\n> ?")
_END = "the command has ended with "


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command, its output and how long it took."""

    command: str
    output: str
    seconds: float = 0.0


def steps(block: str) -> Iterator[Step]:
    """Return the commands of a block with the output that the page shows."""
    _, *parts = _COMMAND.split(block)
    for command, output in zip(parts[::2], parts[1::2], strict=True):
        yield Step(command=_LINE.sub("\n", command), output=output)


def page_steps(page: str) -> list[Step]:
    """Return all commands of a page with the output that it shows."""
    return [step for block in _BLOCK.findall(page) for step in steps(block)]


def shown(done: Iterable[Step]) -> str:
    """Return the block of a page for these commands."""
    return "".join(re.sub(r"\n(.?)", _continued, f"$ {step.command}") + f"\n{step.output}" for step in done)


def _continued(start: re.Match[str]) -> str:
    return f"\n> {start[1]}" if start[1] else "\n>"


def comparable(page: str) -> list[str]:
    """Return the commands of a page, each with the lines of its output, without what differs from run to run."""
    return [line for step in page_steps(page) for line in (f"$ {step.command}", *sorted(_without_numbers(step.output)))]


def _without_numbers(text: str) -> list[str]:
    text = re.sub(r"\b[0-9a-z]{32}(?=-)|[A-Za-z0-9+/]{43}=", "*", text)
    text = re.sub(r"\d+(\.\d+)*", "0", text)
    text = re.sub(r"\b(B|[KMG]iB)\b", "B", text).replace("adopted", "built")
    return [" ".join(line.split()) for line in text.splitlines()]


class Shell:
    """A bash in a new home with uv, a compiler-free PATH, and a link to this checkout."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "bin").mkdir()
        (home / "bin" / "uv").symlink_to(uv.find_uv_bin())
        (home / "vstore").symlink_to(ROOT)
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("VSTORE", "VIRTUAL_ENV", "PYTHON"))
        }
        path = os.pathsep.join([str(home / ".local" / "bin"), str(home / "bin"), os.environ["PATH"]])
        environment = kept | {"HOME": str(home), "PATH": path, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
        self._errors = home / "bin" / "errors"
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=home, env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors.open("w"),
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._bash.stdin
        self._bash.stdin.close()
        self._bash.wait()

    def run(self, command: str) -> Step:
        """Run one command; return it with what it printed. Raises RuntimeError if it fails."""
        assert self._bash.stdin and self._bash.stdout
        started = time.monotonic()
        script = self.home / "bin" / "command"
        script.write_text(command)
        self._bash.stdin.write(f". {script} </dev/null; code=$?; echo; echo '{_END}'$code\n")
        lines = []
        for line in self._bash.stdout:
            if line.startswith(_END):
                break
            lines.append(line)
        output = "".join(lines).removesuffix("\n").replace(str(self.home), "~")
        if line.strip() != f"{_END}0":
            raise RuntimeError(f"$ {command}\n{output}\n{line.strip()}\n{self._errors.read_text()[-4000:]}")
        return Step(command=command, output=output, seconds=time.monotonic() - started)


def run_page(page: Path, home: Path) -> tuple[str, list[Step]]:
    """Run a page's commands; return its text with what they print now, and the steps. Raises RuntimeError."""
    done: list[Step] = []
    with Shell(home) as shell:

        def run(block: re.Match[str]) -> str:
            ran = [shell.run(step.command) for step in steps(block[0])]
            done.extend(ran)
            return shown(ran)

        return _BLOCK.sub(run, page.read_text("utf-8")), done


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.tutorial", description=__doc__.partition("\n")[0])
    parser.add_argument("page", nargs="?", type=Path, default=PAGE)
    parser.add_argument("--update", action="store_true", help="write what the commands print now into the page")
    given = parser.parse_args(arguments)
    page: Path = given.page
    with tempfile.TemporaryDirectory(prefix="tutorial-") as home:
        try:
            text, done = run_page(page, Path(home).resolve())
        except RuntimeError as error:
            print(f"tutorial: a command failed\n{error}", file=sys.stderr)
            return 1
        finally:
            subprocess.run(["chmod", "-R", "u+w", home], check=True)
    for step in done:
        print(f"{step.seconds:6.1f} s  {step.command.splitlines()[0]}")
    print(f"{sum(step.seconds for step in done):6.1f} s  in all")
    old, new = comparable(page.read_text("utf-8")), comparable(text)
    if given.update:
        page.write_text(text, "utf-8")
    elif old != new:
        print(*difflib.unified_diff(old, new, "the page", "this run", lineterm="", n=1), sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
