"""Patch an interpreter for a read-only place, so that virtual environments made from it work.

pip refuses to install into it (PEP 668). Tools that look below `base_prefix` for the interpreter where a layer has it
(``libexec``), as virtualenv does, find it there. Its `venv` creates writable files. It does not copy a program that
needs the shared library beside it: a copy would start with another libpython of the machine, or not at all.
"""

from __future__ import annotations

import re
from pathlib import Path

from vstore.build.native.elf import read_elf
from vstore.fs.links import make_link

_EXTERNALLY_MANAGED = """\
[externally-managed]
Error=vstore made this Python, and nothing in it is to be changed.
 Add the package to the spec and run "vstore realise", or make an environment: python -m venv DIR
"""
_COPIES = re.compile(r"^( +)shutil\.copy(?:mode|2)\(srcfile, dstfile\)\n", re.MULTILINE)
_WRITABLE = r"\g<0>\1os.chmod(dstfile, os.stat(dstfile).st_mode | 0o200)  # the store's files are read-only" + "\n"

_PARSED = re.compile(r"^( +)options = parser\.parse_args\(args\)\n", re.MULTILINE)
_NO_COPIES = r"""\g<0>\1if os.name != "nt" and not options.symlinks:
\1    parser.error("--copies is not possible with this Python, whose libpython is shared and lies beside it")
"""
_SYMLINKS = re.compile(r"^( +)self\.symlinks = symlinks\n", re.MULTILINE)
_ALWAYS = r"\1self.symlinks = True  # a copy would not find its libpython" + "\n"


def patch_for_store(root: Path, stdlib: Path) -> None:
    """Change an interpreter's tree so that it works read-only: pip refuses to install, `venv` makes writable files.

    `stdlib` is its standard library inside `root`. Call this before the library is compiled.
    """
    (stdlib / "EXTERNALLY-MANAGED").write_text(_EXTERNALLY_MANAGED, "utf-8")
    if (root / "bin").is_dir():
        make_link(root / "libexec", "bin", folder=True)
    module = stdlib / "venv" / "__init__.py"
    if module.is_file():  # in Debian it is a package of its own
        text = _COPIES.sub(_WRITABLE, module.read_bytes().decode("utf-8"))
        if _needs_libpython(root / "bin" / stdlib.name):
            text = _SYMLINKS.sub(_ALWAYS, _PARSED.sub(_NO_COPIES, text))
        module.write_bytes(text.encode("utf-8"))


def _needs_libpython(program: Path) -> bool:
    elf = read_elf(program) if program.is_file() else None
    return elf is not None and any(name.startswith("libpython") for name in elf.needed)
