"""The applications of a proposal: the commands or the script of a project, else a module to edit."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from vstore.migration.model import LeftOut, OwnCode, ProjectCommand, ProposedLayer
from vstore.objects import Kind
from vstore.spec.fields import as_profile_name
from vstore.values import frozen

_LAUNCH = '''\
"""Start the command {name}."""

import sys

from {module} import {first}

sys.exit({function}())
'''
_IMPORT = '''\
"""Start the command {name}."""

import {module}  # noqa: F401
'''
_MAIN = '''\
"""The start of the application: replace this with your own code."""

from importlib.metadata import distributions

print(len({{found.name for found in distributions()}}), "packages in the stack of {name}")
'''


@frozen
class Applications:
    """The applications, new files by name, and what cannot be started. `shared` are the requirements of all of them."""

    layers: tuple[ProposedLayer, ...]
    shared: ProposedLayer | None
    files: Mapping[str, str]
    left_out: tuple[LeftOut, ...] = ()


def propose_applications(
    code: OwnCode, name: str, requirements: Sequence[str], below: tuple[str, ...], folder: Path
) -> Applications:
    """Return the applications for the code of a project, in a spec in `folder`, on the frameworks `below`.

    Several commands share their requirements in a framework.
    """
    name = as_profile_name(name)
    support = tuple(_relative(path, folder) for path in code.packages)
    there = [one for one in code.commands if _has_module(one, code.packages)]
    startable = list(_first_of_each(there))
    left_out = [
        LeftOut(subject=f"command {one.name}", reason=f"the code of {one.module} was not found beside the project")
        for one in code.commands
        if one not in there
    ]
    files: dict[str, str] = {}
    started: list[tuple[str, tuple[str, ...]]] = []
    if code.script is not None:
        started.append((name, (_relative(code.script, folder),)))
    elif startable:
        for one in startable:
            file = f"launch_{re.sub(r'[^A-Za-z0-9_]+', '_', one.name)}.py"
            files[file] = _launch_module(one)
            started.append((as_profile_name(one.name), (file, *support)))
    elif main := next((path for path in code.packages if (path / "__main__.py").is_file()), None):
        launch = _relative(main, folder)
        started.append((name, (launch, *(one for one in support if one != launch))))
    else:
        files["main.py"] = _MAIN.format(name=name)
        started.append((name, ("main.py", *support)))
    if outside := [one for one in (*support, *(module for _, modules in started for module in modules)) if ".." in one]:
        reason = "it is not in the folder of the spec: write the spec beside it, or pass its folder by --allow-outside"
        left_out.append(LeftOut(subject=f"code in {outside[0]}", reason=reason))
    left_out += [
        LeftOut(subject=f"command {one.name}", reason="it is the same as another command of the project")
        for one in there
        if one not in startable
    ]
    if code.packages:
        reason = "its code is copied without it: for importlib.metadata require a wheel of the project (docs/init.md)"
        left_out.append(LeftOut(subject=f"metadata of {name}", reason=reason))
    shared = None
    if len(started) > 1 and requirements:
        shared = ProposedLayer(kind=Kind.FRAMEWORK, name=name, requirements=tuple(requirements), frameworks=below)
        below, requirements = (name,), ()
    layers = [
        ProposedLayer(
            kind=Kind.APPLICATION, name=one, requirements=tuple(requirements), frameworks=below, modules=modules
        )
        for one, modules in started
    ]
    return Applications(layers=tuple(layers), shared=shared, files=files, left_out=tuple(left_out))


def _first_of_each(commands: Iterable[ProjectCommand]) -> Iterable[ProjectCommand]:
    """Return the first command of each function."""
    found: dict[tuple[str, str], ProjectCommand] = {}
    for one in commands:
        found.setdefault((one.module, one.function), one)
    return found.values()


def _relative(path: Path, folder: Path) -> str:
    return PurePath(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def _has_module(command: ProjectCommand, packages: Sequence[Path]) -> bool:
    return command.module.partition(".")[0] in {path.stem for path in packages}


def _launch_module(command: ProjectCommand) -> str:
    if not command.function:
        return _IMPORT.format(name=command.name, module=command.module)
    return _LAUNCH.format(
        name=command.name,
        module=command.module,
        first=command.function.partition(".")[0],
        function=command.function,
    )
