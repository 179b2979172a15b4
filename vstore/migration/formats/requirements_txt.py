"""Reading ``requirements.txt``, with the files and options in it (pip's format of requirements files)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from vstore.credentials import without_login
from vstore.migration.documents import read_text
from vstore.migration.indexes import IndexSettings
from vstore.migration.model import Choice, Pin, SourceProject
from vstore.migration.requirement import SPEC, CollectedRequirements, pin_of
from vstore.spec.requirement_hints import find_misuse

_OPTION = re.compile(r"(?P<name>--[\w-]+|-[a-zA-Z])(?:\s*=\s*|\s+|(?<=^-\w))?(?P<value>.*)")
_HASH = re.compile(r"\s--hash[= ]\S+")
_ALWAYS = {"--only-binary", "--prefer-binary", "--require-hashes"}


class RequirementsReader:
    """Reads lines of requirements files. `read_project` reads the projects in folders that lines name."""

    def __init__(self, read_project: Callable[[Path, Choice], SourceProject] | None = None) -> None:
        self._read_project = read_project
        self.collected = CollectedRequirements()
        self.constraints = CollectedRequirements()
        self.indexes = IndexSettings()
        self._seen: set[Path] = set()
        self._hashes = False

    def project(self, name: str, format: str) -> SourceProject:
        """Return what was read."""
        pins: dict[str, Pin] = {}
        for text in (*self.constraints.requirements, *self.collected.requirements):
            pin = pin_of(text)
            if pin is not None:
                pins[str(pin)] = pin
        loose = [text for text in self.constraints.requirements if pin_of(text) is None]
        settings = self.indexes.settings()
        if self._hashes:
            self.collected.leave_out(
                "hashes of files", "the lock has the hash of each wheel: `vstore lock` records them"
            )
        return SourceProject(
            name=name,
            format=format,
            requirements=tuple(self.collected.requirements),
            pins=tuple(pins.values()),
            settings={**settings, **({"constraint-dependencies": loose} if loose else {})},
            left_out=(*self.collected.left_out, *self.constraints.left_out, *self.indexes.left_out),
        )

    def read_file(self, path: Path, *, constraint: bool = False) -> None:
        """Read a file, and those that it names, each once."""
        place = path.resolve()
        if place not in self._seen:
            self._seen.add(place)
            self.read_lines(read_text(path), path.parent, constraint=constraint)

    def read_lines(self, text: str, folder: Path, *, constraint: bool = False) -> None:
        """Read lines; paths in them are relative to `folder`."""
        for line in _logical_lines(text):
            if line.startswith("-"):
                self._option(line, folder)
                continue
            plain = _HASH.sub("", f" {line}").strip()
            self._hashes = self._hashes or plain != line
            (self.constraints if constraint else self.collected).add(plain)

    def _option(self, line: str, folder: Path) -> None:
        match = _OPTION.match(line)
        name, value = (match["name"], match["value"].strip().strip("\"'")) if match else (line, "")
        if name in ("-r", "--requirement", "-c", "--constraint") and urlsplit(value).scheme in ("", "file"):
            self.read_file(folder / value.removeprefix("file://"), constraint=name in ("-c", "--constraint"))
        elif name in ("-e", "--editable") and self._add_project(line, folder, value):
            pass
        elif name == "--proxy":
            self.collected.leave_out(name, "set HTTPS_PROXY instead, and HTTP_PROXY where it is needed")
        elif name in _ALWAYS:
            self.collected.leave_out(line, "not needed: only wheels are used, and a lock has their hashes")
        elif not self.indexes.add_option(name, value):
            misuse = find_misuse(without_login(line), SPEC)
            self.collected.leave_out(line, misuse.hint if misuse else "an option of pip")

    def _add_project(self, line: str, folder: Path, value: str) -> bool:
        """Take over the dependencies of a project in a folder. Return False if there is none.

        Its own code is no package here.
        """
        place, _, extras = value.partition("[")
        file = folder / place / "pyproject.toml"
        if self._read_project is None or not file.is_file():
            return False
        chosen = Choice(extras=tuple(one.strip() for one in extras.rstrip("]").split(",") if one.strip()))
        project = self._read_project(file, chosen)
        self.collected.extend(project.requirements)
        self.collected.left_out += project.left_out
        self.collected.leave_out(line, "its dependencies are taken over; name its code as `support_modules`")
        return True


def _logical_lines(text: str) -> Iterator[str]:
    """Yield the lines without comments; a backslash continues a line."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        stripped = re.sub(r"(^|\s)#.*$", "", line).strip()
        if stripped:
            yield stripped
