"""Where things lie in a layer and in an interpreter's object, for each kind of target.

Pure, and read by all that builds: nothing else asks which system a layer is for. POSIX layers look like a
virtual environment. A Windows layer looks like an installation of Python made of links, since there an
interpreter finds its library beside itself or above, never through a link (docs/decisions/0016).
"""

from __future__ import annotations

from functools import cached_property

from vstore.target import Target
from vstore.values import frozen

CODE = "libexec/bin"  # the code of Python scripts
LAUNCHER = "libexec/launch"  # what starts an application, on Windows with a suffix
LOCK = ".lock"  # of uv: a look into an environment makes one
_FOLDERS = ("", "etc", "include", "include/site", "libexec", CODE, "share")


@frozen(slots=False)
class Layout:
    """The layout of layers for `target` and CPython `python` (a full version). Paths are relative, with ``/``."""

    target: Target
    python: str

    @property
    def windows(self) -> bool:
        return self.target.is_windows

    @property
    def series(self) -> str:
        """``3.11`` of ``3.11.7``."""
        return ".".join(self.python.split(".")[:2])

    @property
    def interpreter_name(self) -> str:
        """``python3.11``."""
        return f"python{self.series}"

    @property
    def interpreter(self) -> str:
        """Where the program is in an interpreter's object."""
        return "python.exe" if self.windows else f"bin/{self.interpreter_name}"

    @property
    def program(self) -> str:
        """What starts the interpreter in a layer."""
        return "Scripts/python.exe" if self.windows else "bin/python"

    @property
    def stdlib(self) -> str:
        """Python's library: its place in an interpreter's object, and above site-packages in a layer."""
        return "Lib" if self.windows else f"lib/{self.interpreter_name}"

    @cached_property
    def site(self) -> str:
        return f"{self.stdlib}/site-packages"

    @property
    def scripts(self) -> str:
        return "Scripts" if self.windows else "bin"

    @cached_property
    def folders(self) -> frozenset[str]:
        """The installation folders: they belong to the layer itself, whoever has files there."""
        headers = f"include/site/{self.interpreter_name}"
        library = () if self.windows else ("lib",)
        return frozenset((*_FOLDERS, *library, self.scripts, self.stdlib, self.site, headers))

    @property
    def safe_path(self) -> str:
        """The option that keeps the current folder out of `sys.path`."""
        return "-P" if tuple(map(int, self.series.split("."))) >= (3, 11) else "-I"

    @property
    def tag(self) -> str:
        """What names bytecode: ``cpython-311``."""
        return f"cpython-{self.series.replace('.', '')}"

    @property
    def extension_suffixes(self) -> tuple[str, ...]:
        """The suffixes of extension modules that this interpreter loads, most special first."""
        digits = self.series.replace(".", "")
        if self.windows:
            return (f".cp{digits}-{self.target}.pyd", ".pyd")
        machine = self.target.value.partition("_")[2]
        special = (
            f".cpython-{digits}-{machine}-linux-gnu.so" if self.target.is_linux else f".cpython-{digits}-darwin.so"
        )
        return (special, ".abi3.so", ".so")

    def executable(self, name: str, said: bool) -> bool:
        """Whether a file is executable: on Windows its name tells, so that it is the same on every machine."""
        return name.lower().endswith((".exe", ".cmd", ".bat", ".com")) if self.windows else said

    def script_name(self, script: str) -> str:
        """What the script at this path in the scripts folder is called."""
        name = script.removeprefix(f"{self.scripts}/")
        return name.removesuffix(".exe").removesuffix(".cmd") if self.windows else name

    def code_of(self, script: str) -> str:
        """Where the code is that the starter at this path runs."""
        return f"{CODE}/{self.script_name(script)}"

    @property
    def activation(self) -> tuple[str, ...]:
        """The names of the activate scripts, beside the layer's others."""
        own = ("activate.bat", "deactivate.bat") if self.windows else ("activate.csh",)
        return ("activate", "activate.fish", "activate.nu", "Activate.ps1", *own)

    def is_environments(self, path: str) -> bool:
        """Whether it is a file that each environment has of its own, so that a wheel's is left out."""
        names = ("pyvenv.cfg", "pip.conf", "pip.ini", LOCK, *(f"{self.scripts}/{name}" for name in self.activation))
        return path.lower() in map(str.lower, names) if self.windows else path in names

    def is_own_place(self, path: str) -> bool:
        """Whether a file of a wheel may not be there, since the layer's own is or will be."""
        if path.startswith((f"{CODE}/", "libexec/lib/", "libexec/include/", "share/vstore/", "share/venv/metadata/")):
            return True
        if self.windows:
            known = (f"{LAUNCHER}.exe", f"{LAUNCHER}.cmd", "scripts/python.exe", "scripts/pythonw.exe")
            folders = ("dlls/", "tcl/") if path.startswith(f"{self.site}/") else ("dlls/", "tcl/", "lib/")
            return path.lower() in known or path.lower().startswith(folders)
        names = ("python", "python3", self.interpreter_name)
        return path in (
            LAUNCHER,
            *(f"{folder}/{name}" for folder in ("bin", "libexec") for name in names),
        )

    def place(self, path: str) -> str:
        """Where a file goes that a wheel would have at `path` in a POSIX layer (which is what uv makes here)."""
        if not self.windows:
            return path
        posix = f"lib/{self.interpreter_name}/site-packages/"
        if path.startswith(posix):
            return f"{self.site}/{path.removeprefix(posix)}"
        folder, slash, rest = path.partition("/")
        known = {"bin": "Scripts", "scripts": "Scripts", "lib": "Lib", "include": "include", "share": "share"}
        return f"{known.get(folder.lower(), folder)}{slash}{rest}" if slash else path
