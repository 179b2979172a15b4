"""The layout of layers and of interpreter objects, for each kind of target. Pure.

Only this module knows the paths of files on each system. A POSIX layer is like a virtual environment. A Windows layer
is like an installation of Python that is made of links: an interpreter there finds its library beside itself or
above, never through a link (docs/internals/decisions/0016).
"""

from __future__ import annotations

from functools import cached_property

from vstore.python_version import PythonVersion
from vstore.target import Target
from vstore.values import frozen

CODE = "libexec/bin"  # the code of Python scripts
LAUNCHER = "libexec/launch"  # the launcher of an application, on Windows with a suffix
UV_LOCK = ".lock"  # uv makes one in every environment that it inspects
_FOLDERS = ("", "etc", "include", "include/site", "libexec", CODE, "share")


@frozen(slots=False)
class LayerLayout:
    """The layout for `target` and CPython `python`. Paths are relative to the layer and use ``/``."""

    target: Target
    python: PythonVersion

    @property
    def interpreter_name(self) -> str:
        """The name of the program on POSIX systems, ``python3.11``."""
        return f"python{self.python.feature}"

    @property
    def interpreter(self) -> str:
        """The path of the program in an interpreter object."""
        return "python.exe" if self.target.is_windows else f"bin/{self.interpreter_name}"

    @property
    def program(self) -> str:
        """The path of the file that starts the interpreter in a layer."""
        return "Scripts/python.exe" if self.target.is_windows else "bin/python"

    @property
    def stdlib(self) -> str:
        """The folder of the standard library in an interpreter object. In a layer it contains site-packages."""
        return "Lib" if self.target.is_windows else f"lib/{self.interpreter_name}"

    @cached_property
    def site_packages(self) -> str:
        """The folder of packages."""
        return f"{self.stdlib}/site-packages"

    @property
    def scripts(self) -> str:
        """The folder of scripts."""
        return "Scripts" if self.target.is_windows else "bin"

    @cached_property
    def install_folders(self) -> frozenset[str]:
        """The folders that belong to the layer itself and never to one distribution."""
        headers = f"include/site/{self.interpreter_name}"
        library = () if self.target.is_windows else ("lib",)
        return frozenset((*_FOLDERS, *library, self.scripts, self.stdlib, self.site_packages, headers))

    @property
    def activation_scripts(self) -> tuple[str, ...]:
        """The names of the activation scripts in the folder of scripts."""
        own = ("activate.bat", "deactivate.bat") if self.target.is_windows else ("activate.csh",)
        return ("activate", "activate.fish", "activate.nu", "Activate.ps1", *own)

    def is_executable(self, name: str, mode_bit: bool) -> bool:
        """Whether a file is executable: on Windows by its name, so that it is the same on every machine."""
        return name.lower().endswith((".exe", ".cmd", ".bat", ".com")) if self.target.is_windows else mode_bit

    def script_name(self, script: str) -> str:
        """Return the name of a script, given its path."""
        name = script.removeprefix(f"{self.scripts}/")
        return name.removesuffix(".exe").removesuffix(".cmd") if self.target.is_windows else name

    def code_path(self, script: str) -> str:
        """Return the path of the code of a script, given the path of its launcher."""
        return f"{CODE}/{self.script_name(script)}"

    def is_environment_file(self, path: str) -> bool:
        """Whether every environment has a file of its own at this path. Such a file of a wheel is not installed."""
        return (path.lower() if self.target.is_windows else path) in self._environment_files

    @cached_property
    def _environment_files(self) -> frozenset[str]:
        scripts = (f"{self.scripts}/{name}" for name in self.activation_scripts)
        names = ("pyvenv.cfg", "pip.conf", "pip.ini", UV_LOCK, *scripts)
        return frozenset(map(str.lower, names) if self.target.is_windows else names)

    def is_reserved(self, path: str) -> bool:
        """Whether a path is reserved for the layer itself, so that a wheel with a file there is refused."""
        if path.startswith((f"{CODE}/", "libexec/lib/", "libexec/include/", "share/vstore/", "share/venv/metadata/")):
            return True
        if self.target.is_windows:
            known = (f"{LAUNCHER}.exe", f"{LAUNCHER}.cmd", "scripts/python.exe", "scripts/pythonw.exe")
            in_site_packages = path.startswith(f"{self.site_packages}/")
            folders = ("dlls/", "tcl/") if in_site_packages else ("dlls/", "tcl/", "lib/")
            return path.lower() in known or path.lower().startswith(folders)
        return path == LAUNCHER or path in self._programs

    @cached_property
    def _programs(self) -> frozenset[str]:
        """The names of the interpreter in a POSIX layer."""
        names = ("python", "python3", self.interpreter_name)
        return frozenset(f"{folder}/{name}" for folder in ("bin", "libexec") for name in names)

    def from_posix(self, path: str) -> str:
        """Return the path of a file that a POSIX layer has at `path`. uv installs in the layout of its own machine."""
        if not self.target.is_windows:
            return path
        posix = f"lib/{self.interpreter_name}/site-packages/"
        if path.startswith(posix):
            return f"{self.site_packages}/{path.removeprefix(posix)}"
        folder, slash, rest = path.partition("/")
        known = {"bin": "Scripts", "scripts": "Scripts", "lib": "Lib", "include": "include", "share": "share"}
        return f"{known.get(folder.lower(), folder)}{slash}{rest}" if slash else path
