"""Development environments: ordinary, writable virtual environments that show a layer.

An environment is beside a spec, in ``.venv``. It has copies of the metadata of the layer's distributions, launchers for
its scripts, and one path file with the folders of the modules of the working tree and the site-packages of the layer.
No link in it leads to a folder of the store: an installer follows such a link when it removes a package, and as root
empties the object (docs/internals/decisions/0054).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from vstore.build.layer_metadata import LayerMetadata, read_metadata
from vstore.build.layout import CODE, LayerLayout
from vstore.build.scripts.activation import write_activation_scripts
from vstore.environments.distributions import (
    InstalledDistribution,
    copy_metadata,
    is_same_metadata,
    read_installed,
    read_scripts,
)
from vstore.environments.launchers import PROGRAM, EnvironmentLaunchers
from vstore.environments.pip import install_bundled_pip
from vstore.environments.plan import DevelopmentPlan, plan_environment
from vstore.environments.pyvenv import CONFIGURATION, LAYER_KEY, layer_of
from vstore.errors import UsageError
from vstore.fs.atomic import replace_symlink, write_file
from vstore.fs.paths import quoted
from vstore.fs.place import Claim, claim, lstat_or_none, not_ours
from vstore.fs.trees.removal import remove_tree
from vstore.values import frozen, replace

PATH_FILE = "~vstore.pth"  # after the path files of installed packages, so that their folders come first


@frozen(slots=False)
class DevelopmentEnvironment:
    """The environment at `place` over a `layer`, both as absolute paths.

    `modules` are the folders of the working tree that Python looks for modules in, `application` is the name of the
    launcher of the application, None for a layer that is none. `prompt` is shown in front of the prompt of a shell.
    """

    place: Path
    layer: Path
    modules: tuple[Path, ...]
    application: str | None
    prompt: str

    @cached_property
    def metadata(self) -> LayerMetadata:
        """The metadata of the layer. Raises StoreError if they are missing or damaged."""
        return read_metadata(self.layer)

    @property
    def layout(self) -> LayerLayout:
        """The layout of the environment: that of the layer."""
        return self.metadata.layout

    def plan(self) -> DevelopmentPlan:
        """Return the changes that `write` would make. Raises UsageError for a path that cannot stand in a path file."""
        return self._plan(*self._installed())

    def _installed(self) -> tuple[tuple[InstalledDistribution, ...], tuple[InstalledDistribution, ...]]:
        """Return the distributions in the layer and in the environment."""
        return read_installed(self.layer, self.layout), read_installed(self.place, self.layout)

    def _plan(
        self, of_layer: Sequence[InstalledDistribution], installed: Sequence[InstalledDistribution]
    ) -> DevelopmentPlan:
        for path in (self.layer, *self.modules):
            if "\n" in str(path) or "\r" in str(path):
                raise UsageError(f"a path with a line break cannot be used: {path}")
        changed = [] if layer_of(self.place) == self.layer else self._changed_copies(installed)
        return plan_environment(of_layer, installed, changed=changed)

    def _changed_copies(self, installed: Iterable[InstalledDistribution]) -> list[str]:
        """Return the copied metadata folders that differ from those of the layer."""
        site_packages = self.layout.site_packages
        copies = (one.folder for one in installed if one.is_copy)
        return [one for one in copies if not is_same_metadata(self.layer, self.place, f"{site_packages}/{one}")]

    def write(self) -> DevelopmentPlan:
        """Make the environment, or bring it in step with the layer. What the user installed in it stays.

        Return the changes. Raises UsageError as `plan` does.
        """
        site_packages = self.place / self.layout.site_packages
        is_new = lstat_or_none(site_packages) is None
        self._write_python()
        if is_new:
            install_bundled_pip(self.place, self.layer, self.layout)
        of_layer, installed = self._installed()
        plan = self._plan(of_layer, installed)
        for folder in plan.removed:
            remove_tree(site_packages / folder)
        for folder in plan.copied:
            copy_metadata(self.layer, self.place, f"{self.layout.site_packages}/{folder}")
        own = [one for one in installed if not one.is_copy]
        hidden = [one for one in of_layer if one.name in plan.hidden]
        launchers = EnvironmentLaunchers(place=self.place, layer=self.layer, layout=self.layout)
        launchers.write(
            applications=self._applications,
            of_user={name for one in own for name in read_scripts(self.place, self.layout, one)},
            hidden={name for one in hidden for name in read_scripts(self.layer, self.layout, one)},
        )
        write_file(site_packages / PATH_FILE, self._path_file(), durable=False)
        self._write_configuration()  # last: it names the layer that all the rest is made for
        return plan

    @property
    def _applications(self) -> dict[str, str]:
        module = self.metadata.launch_module
        return {} if self.application is None or module is None else {self.application: module}

    def _write_python(self) -> None:
        """Create the folders and the links to the interpreter, which are links to files."""
        for folder in ("bin", CODE, "include", self.layout.site_packages):
            (self.place / folder).mkdir(parents=True, exist_ok=True)
        _link(self.place / PROGRAM, f"{self.layer}/libexec/{self.layout.interpreter_name}")
        for name in ("python3", self.layout.interpreter_name):
            _link(self.place / "bin" / name, "python")
        write_activation_scripts(self.place, replace(self.metadata, name=self.prompt))
        (self.place / ".gitignore").write_bytes(b"*\n")

    def _path_file(self) -> bytes:
        """Return the path file. Its last line makes the path files of the layer count too, as site.addsitedir does."""
        site_packages = str(self.layer / self.layout.site_packages)
        lines = [*map(str, self.modules), site_packages, f"import site; site.addsitedir({site_packages!r})"]
        return os.fsencode("\n".join([*lines, ""]))

    def _write_configuration(self) -> None:
        """Write pyvenv.cfg. Its `home` is in the layer, as in environments that the layer's Python makes."""
        values = {
            "home": f"{self.layer}/libexec",
            "implementation": "CPython",
            "version_info": str(self.metadata.python),
            "include-system-site-packages": "false",
            "prompt": self.prompt,
            LAYER_KEY: str(self.layer),
        }
        text = "".join(f"{key} = {value}\n" for key, value in values.items())
        write_file(self.place / CONFIGURATION, os.fsencode(text))


def claim_environment(place: Path, store: Path) -> Claim:
    """Check the place of an environment. Raises UsageError unless it is free, or vstore made the environment there.

    `store` is the root of the store, which the place must not be in.
    """

    def is_ours(path: Path, status: os.stat_result) -> bool:
        if stat.S_ISDIR(status.st_mode) and layer_of(path) is not None:
            return True
        other = path.with_name(f"{path.name}-vstore")
        raise UsageError(not_ours(path, status).message, hint=f"use `--path {quoted(other)}`, or move it away")

    return claim(place, is_ours, store=store)


def _link(path: Path, target: str) -> None:
    if not os.path.lexists(path):
        os.symlink(target, path)
    elif not path.is_symlink() or os.readlink(path) != target:
        replace_symlink(path, target)
