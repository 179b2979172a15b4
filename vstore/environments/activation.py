"""Layers for programs of users: the variables of a program in a layer, and the commands by which a shell activates one.

All go through the link of a profile if the layer was named by one, so that what starts later follows an upgrade.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from vstore.errors import UsageError
from vstore.objects import Kind, StorePath
from vstore.profile import StackLayer, What, read_stack, resolve_what
from vstore.store import Store
from vstore.target import Target
from vstore.values import frozen

SHELLS = ("bash", "zsh", "sh", "dash", "ksh", "mksh", "fish", "csh", "tcsh", "nu", "powershell")
_LAYER_KINDS = (Kind.RUNTIME, Kind.FRAMEWORK, Kind.APPLICATION)
_UNSET = ("PYTHONHOME", "__PYVENV_LAUNCHER__")  # they would move Python to another installation


@frozen
class UsableLayer:
    """A layer in which programs can run.

    `place` is the folder of the layer, `scripts` are the folders to put in front of PATH, both by the link of the
    profile if that was named. `used_path` is the object whose use is recorded, for `user`.
    """

    name: str
    place: Path
    scripts: tuple[Path, ...]
    used_path: StorePath
    user: str

    def variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables for a program in this layer, from those of the process."""
        changed = {key: value for key, value in environment.items() if key not in _UNSET}
        own = list(map(str, self.scripts))
        others = [one for one in environment.get("PATH", os.defpath).split(os.pathsep) if one not in own]
        changed["PATH"] = os.pathsep.join((*own, *others))
        return {**changed, "VIRTUAL_ENV": str(self.place), "VIRTUAL_ENV_PROMPT": self.name}

    def activation_file(self, shell: str) -> Path:
        """Return the file that a shell sources to activate the layer, without the applications of its stack."""
        suffix = {"fish": ".fish", "csh": ".csh", "tcsh": ".csh", "nu": ".nu"}.get(shell, "")
        return self.scripts[-1] / ("Activate.ps1" if shell == "powershell" else f"activate{suffix}")

    def activation(self, shell: str) -> str:
        """Return the commands that activate the layer, in the language of a shell of `SHELLS`."""
        file, place = str(self.activation_file(shell)), str(self.place)
        own, stack = os.pathsep.join(map(str, self.scripts)), [str(one) for one in self.scripts[:-1]]
        if shell == "fish":
            lines = [f"source {_fish(file)}", *(f"set -gx PATH {_fish(one)} $PATH" for one in stack)]
        elif shell in ("csh", "tcsh"):
            lines = [
                f"source {_csh(file)};",
                f"setenv VIRTUAL_ENV {_csh(place)};",
                f'setenv PATH {_csh(own)}":$_OLD_VIRTUAL_PATH:q";',
            ]
        elif shell == "nu":
            lines = [f"overlay use {_double(file)}"]
            lines += [f"$env.PATH = ($env.PATH | prepend {_double(one)})" for one in stack]
        elif shell == "powershell":
            lines = [f". {_powershell(file)}"]
            lines += [f"$env:PATH = {_powershell(one)} + [IO.Path]::PathSeparator + $env:PATH" for one in stack]
        else:  # the file finds its real place where a shell does not tell how it was named
            lines = [f". {shlex.quote(file)}", f"VIRTUAL_ENV={shlex.quote(place)}"]
            lines.append(f'PATH={shlex.quote(own)}:"$_OLD_VIRTUAL_PATH"')
        return "".join(f"{line}\n" for line in lines)


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _csh(text: str) -> str:
    return shlex.quote(text).replace("!", "\\!")


def _double(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _powershell(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def find_layer(store: Store, text: str) -> UsableLayer:
    """Return the layer that a text names, read by `resolve_what`.

    A stack stands for its only application, else for its only layer, and its applications are on PATH too. Raises
    UsageError for another object and for a stack with several applications, ProfileError for one of another platform,
    and as `resolve_what`.
    """
    found = resolve_what(store, text)
    info = store.objects.info(found.path)
    if info is not None and info.kind == Kind.STACK:
        return _of_stack(store, found, text)
    if info is None or info.kind not in _LAYER_KINDS:
        raise UsageError(f"{text} is not a layer, but {info.kind if info else 'gone'}", hint="give PROFILE/LAYER")
    return UsableLayer(
        name=found.layer or found.path.name,
        place=found.place,
        scripts=(found.place / _scripts_folder(),),
        used_path=found.path,
        user=found.profile or "exec",
    )


def _of_stack(store: Store, found: What, text: str) -> UsableLayer:
    stack = read_stack(store.layout.object(found.path))
    Target(stack.target).check_host(text)
    layers = [one for one in stack.layers if one.kind in _LAYER_KINDS]
    layer = _only(one for one in layers if one.kind == Kind.APPLICATION) or _only(layers)
    if layer is None:
        names = ", ".join(f"{text}/{one.name}" for one in layers)
        raise UsageError(f"{text} has several layers, and not one application", hint=f"name one: {names}")
    place = found.place / "layers" / layer.name
    return UsableLayer(
        name=layer.name,
        place=place,
        scripts=(found.place / "bin", place / _scripts_folder()),
        used_path=found.path,
        user=found.profile or "exec",
    )


def _only(layers: Iterable[StackLayer]) -> StackLayer | None:
    found = list(layers)
    return found[0] if len(found) == 1 else None


def _scripts_folder() -> str:
    return "Scripts" if Target.host().is_windows else "bin"
