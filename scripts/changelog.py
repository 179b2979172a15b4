"""Check the fragments of the changelog, show the changes of a release, or make it: see changelog/README.md."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("new", "changed", "fixed", "removed")
_FIRST_LINE = re.compile(r"([A-Za-z]+): (.*)")
_SECTION = re.compile(r"^## (\S+).*\n", re.MULTILINE)


class ChangelogError(Exception):
    """The fragments, or the request, are wrong; the text has one line for each mistake."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """One change. `title` is one line, `body` one paragraph or more."""

    kind: str
    title: str
    body: str

    def __str__(self) -> str:
        return f"- **{self.title[0].upper()}{self.title[1:]}.**\n\n{textwrap.indent(self.body, '  ')}\n"


def read_fragments(folder: Path) -> list[Fragment]:
    """Return the fragments in a folder by their names. Raises ChangelogError that names all malformed ones."""
    files = sorted(folder.glob("*"))
    mistakes = [f"{file.name}: {mistake}" for file in files for mistake in _mistakes(file)]
    if mistakes:
        raise ChangelogError("\n".join(mistakes))
    return [_parse(file.read_text("utf-8")) for file in files]


def _parse(text: str) -> Fragment:
    first, _, rest = text.partition("\n")
    kind, _, title = first.partition(": ")
    return Fragment(kind, title, rest.strip())


def _mistakes(file: Path) -> Iterable[str]:
    if not re.fullmatch(r"[a-z0-9-]+\.md", file.name):
        yield "the name must be lower-case words joined by hyphens, with .md"
        return
    first, *rest = file.read_text("utf-8").splitlines() or [""]
    found = _FIRST_LINE.fullmatch(first)
    if found is None:
        yield "the first line must be `kind: title`"
        return
    if found[1] not in KINDS:
        yield f"the kind is {found[1]!r}, must be one of {', '.join(KINDS)}"
    if not found[2].strip() or found[2].endswith("."):
        yield "the title must be one line without a full stop"
    if len(rest) < 2 or rest[0] or not rest[1].strip():
        yield "after the first line there must be an empty one, then the text"
    if any((more := _FIRST_LINE.match(line)) and more[1] in KINDS for line in rest):
        yield "there must be one change in a file"


def section(fragments: Sequence[Fragment], heading: str) -> str:
    """Return the section of one release, in Markdown: its changes by kind."""
    parts = [f"## {heading}\n"]
    for kind in KINDS:
        if chosen := [str(one) for one in fragments if one.kind == kind]:
            parts += [f"### {kind.capitalize()}\n", *chosen]
    return "\n".join(parts)


def released(page: Path, version: str) -> str:
    """Return the section of a version in the changelog, without its heading. Raises ChangelogError if it has none."""
    _, *parts = _SECTION.split(page.read_text("utf-8"))
    for found, text in zip(parts[::2], parts[1::2], strict=True):
        if found == version:
            return text.strip()
    raise ChangelogError(f"{page.name} has no release {version}; `scripts/changelog release {version}` makes it")


def release(root: Path, version: str, day: date) -> None:
    """Move the fragments into CHANGELOG.md, as the newest section.

    Raises ChangelogError if the package has another version, if that one is released, or if there are no fragments.
    """
    found = re.search(r'__version__ = "(.+)"', (root / "vstore" / "__init__.py").read_text("utf-8"))
    if found is None or found[1] != version:
        raise ChangelogError(f"vstore/__init__.py has version {found and found[1]}, not {version}")
    page, unreleased = root / "CHANGELOG.md", root / "changelog" / "unreleased"
    text = page.read_text("utf-8")
    if version in _SECTION.findall(text):
        raise ChangelogError(f"{page.name} has a release {version} already")
    fragments = read_fragments(unreleased)
    if not fragments:
        raise ChangelogError(f"no fragments in {unreleased}")
    newest = _SECTION.search(text)
    place = newest.start() if newest else len(text)
    page.write_text(f"{text[:place].rstrip()}\n\n{section(fragments, f'{version} ({day})')}\n{text[place:]}", "utf-8")
    for file in unreleased.glob("*.md"):
        file.unlink()


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/changelog", description="The changelog and its fragments.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="check the form of all fragments")
    show = commands.add_parser("show", help="print the changes of a release")
    show.add_argument("version", nargs="?", help="a released version (default: what is not released yet)")
    make = commands.add_parser("release", help="move the fragments into CHANGELOG.md")
    make.add_argument("version", help="the version in vstore/__init__.py")
    make.add_argument("--date", type=date.fromisoformat, default=datetime.now(UTC).date(), help="default: today, UTC")
    given = parser.parse_args(arguments)
    try:
        match given.command:
            case "release":
                release(root, given.version, given.date)
            case "show" if given.version:
                print(released(root / "CHANGELOG.md", given.version))
            case command:
                fragments = read_fragments(root / "changelog" / "unreleased")
                print(section(fragments, "Unreleased") if command == "show" else f"{len(fragments)} fragments")
    except ChangelogError as error:
        print("\n".join(f"changelog: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
