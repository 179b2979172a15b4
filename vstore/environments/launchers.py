"""The launchers of a development environment: they start the scripts of its layer with its own Python."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from vstore.build.layout import CODE, LayerLayout
from vstore.build.scripts.posix import ShellLaunchers
from vstore.fs.atomic import write_file
from vstore.fs.reading import read_regular
from vstore.values import frozen

PROGRAM = "bin/python"
_SCRIPT_START = b"#!/bin/sh\n'''':\n"
_COMMAND_START = b"#!/bin/sh\n# a program of a layer of vstore\n"
_MAX_BYTES = 1 << 20


@frozen
class EnvironmentLaunchers:
    """The launchers of the environment at `place` for the scripts of a `layer`, both as absolute paths."""

    place: Path
    layer: Path
    layout: LayerLayout

    def write(self, applications: Mapping[str, str], *, of_user: Collection[str], hidden: Collection[str]) -> None:
        """Write the launchers, and remove those of scripts that the layer does not have any more.

        `applications` are modules by the name of their launcher. Scripts `of_user` are not touched, and `hidden` ones
        of the layer get no launcher.
        """
        wanted = {
            name: data
            for name, data in {**self._applications(applications), **dict(self._scripts(hidden))}.items()
            if name not in of_user
        }
        for path in sorted((self.place / "bin").iterdir()):
            if path.name not in wanted and path.name not in of_user and _is_launcher(path):
                path.unlink()
                with suppress(FileNotFoundError):
                    (self.place / CODE / path.name).unlink()
        for name, data in wanted.items():
            code = self.layer / CODE / name
            if code.is_file():
                write_file(self.place / CODE / name, code.read_bytes(), durable=False)
            write_file(self.place / "bin" / name, data, mode=0o755, durable=False)

    @property
    def _launchers(self) -> ShellLaunchers:
        return ShellLaunchers(layout=self.layout, program=PROGRAM)

    def _applications(self, applications: Mapping[str, str]) -> dict[str, bytes]:
        return {name: self._launchers.application(module)[1] for name, module in applications.items()}

    def _scripts(self, hidden: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the launcher of each script. A script that is not of Python runs in its own layer."""
        own = {"python", "python3", self.layout.interpreter_name, *self.layout.activation_scripts, *hidden}
        for name in sorted(set(os.listdir(self.layer / "bin")) - own):
            if (self.layer / CODE / name).is_file():
                yield name, self._launchers.script(name, b"")[1]
            elif os.access(self.layer / "bin" / name, os.X_OK):
                program = shlex.quote(os.path.realpath(self.layer / "bin" / name))
                yield name, _COMMAND_START + os.fsencode(f'exec {program} "$@"\n')


def _is_launcher(path: Path) -> bool:
    """Return whether a file is a launcher that vstore made."""
    try:
        data = read_regular(path, limit=_MAX_BYTES, follow=False)
    except OSError:
        return False
    return data.startswith((_SCRIPT_START, _COMMAND_START))
