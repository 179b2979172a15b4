"""Make a copied interpreter independent of its origin: run paths, `sysconfig`, pkg-config, Makefiles."""

from __future__ import annotations

import ast
import json
import os
import pprint
from collections.abc import Callable, Iterable
from pathlib import Path

from vstore.build.native.elf import ELF_MAGIC, patchelf

_NEUTRAL = "/install"  # the prefix in texts that cannot be relative, as in python-build-standalone
_HEADER = "# system configuration generated and used by the sysconfig module"
_MARK = "@base_prefix@"
_TAIL = f"""
from sys import base_prefix as _base
build_time_vars = {{
    key: value.replace({_MARK!r}, _base) if isinstance(value, str) else value
    for key, value in build_time_vars.items()
}}
"""
_PATH_VARIABLES = frozenset(
    [
        "BINDIR",
        "BINLIBDEST",
        "CONFINCLUDEDIR",
        "CONFINCLUDEPY",
        "DESTLIB",
        "DESTSHARED",
        "INCLUDEDIR",
        "INCLUDEPY",
        "LIBDEST",
        "LIBDIR",
        "LIBPC",
        "LIBPL",
        "MACHDESTLIB",
        "SCRIPTDIR",
        "datarootdir",
        "exec_prefix",
        "prefix",
    ]
)


def relocate_texts(root: Path, stdlib: Path, prefix: str, *, system: bool) -> None:
    """Remove `prefix` from the files that describe the build. `system` means that other software shares the prefix."""
    for file in sorted(stdlib.glob("_sysconfigdata*.py")):
        file.write_text(relocatable_sysconfig(file.read_text("utf-8"), prefix, system=system), "utf-8")
    for file in sorted(root.glob("lib*/pkgconfig/*.pc")):
        _replace_text(file, lambda text: _relative_pc(text, prefix))
    for file in sorted(stdlib.glob("build-details.json")):
        details = json.loads(file.read_bytes())
        details["base_prefix"] = os.path.relpath(root, stdlib)
        file.write_text(json.dumps(details, indent=2) + "\n", "utf-8")
    if system:
        return
    described = [*stdlib.glob("config-*/*"), *stdlib.glob("_sysconfig_vars*.json"), *stdlib.glob("build-details.json")]
    for file in sorted(described):
        if file.is_file():
            _replace_text(file, lambda text: text.replace(prefix, _NEUTRAL))


def _replace_text(file: Path, change: Callable[[str], str]) -> None:
    text = file.read_bytes().decode("utf-8", "surrogateescape")
    file.write_bytes(change(text).encode("utf-8", "surrogateescape"))


def relocatable_sysconfig(text: str, prefix: str, *, system: bool = False) -> str:
    """Return a ``_sysconfigdata`` module that derives the prefix from the running interpreter."""
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(x, ast.Name) and x.id == "build_time_vars" for x in node.targets
        ):
            variables: dict[str, object] = ast.literal_eval(node.value)
            break
    else:
        return text
    folders = {str(variables.get(key) or "") for key in ("abs_builddir", "abs_srcdir")}
    built_in = sorted((one for one in folders if one.startswith("/")), reverse=True)  # a folder before its parent
    for key, value in variables.items():
        if isinstance(value, str):
            if not system or (key in _PATH_VARIABLES and _inside(value, prefix)):
                value = value.replace(prefix, _MARK)
            for folder in built_in:
                value = value.replace(folder, "/build")
            variables[key] = value
    return f"{_HEADER}\nbuild_time_vars = {pprint.pformat(variables, width=100)}\n{_TAIL}"


def _inside(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")


def _relative_pc(text: str, prefix: str) -> str:
    lines = []
    for line in text.splitlines():
        if line.startswith("prefix="):
            lines.append("prefix=${pcfiledir}/../..")
        elif prefix not in ("/", "/usr"):
            lines.append(line.replace(prefix, "${prefix}"))
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def relocate_binaries(root: Path, origin: Path, files: Iterable[Path], copied: frozenset[str]) -> None:
    """Make the run paths of ELF files relative. `copied` are the names of the libraries that were copied to ``lib``.

    A run path into `origin` becomes ``$ORIGIN/…``. A file that needs a copied library finds it, even if the origin had
    the library on the search path of the system.
    """
    marks = (os.fsencode(origin), *(os.fsencode(name) for name in copied))
    for file in files:
        content = file.read_bytes()
        if not content.startswith(ELF_MAGIC) or not any(mark in content for mark in marks):
            continue
        old = [part for part in patchelf("--print-rpath", str(file)).strip().split(":") if part]
        new = [_relative_run_path(part, file, root, origin) for part in old]
        needed = patchelf("--print-needed", str(file)).split()
        if copied.intersection(needed):
            new.append(
                "$ORIGIN/" + os.path.relpath(root / "lib", file.parent) if file.parent != root / "lib" else "$ORIGIN"
            )
        new = list(dict.fromkeys(new))
        if new != old:
            patchelf("--set-rpath", ":".join(new), str(file))


def _relative_run_path(part: str, file: Path, root: Path, origin: Path) -> str:
    if not _inside(part, str(origin)) or str(origin) in ("/", "/usr"):
        return part
    relative = os.path.relpath(root / Path(part).relative_to(origin), file.parent)
    return "$ORIGIN" if relative == "." else f"$ORIGIN/{relative}"
