"""Fitting an interpreter for a place that nobody writes to: what is made from it still works.

Installing into it is refused (PEP 668), virtual environments made by it can be written, and tools that look for the
interpreter below `base_prefix` where a layer has it (``libexec``) find it there (virtualenv does).
"""

from __future__ import annotations

import re
from pathlib import Path

from vstore.fs.links import make_link

_EXTERNALLY_MANAGED = """\
[externally-managed]
Error=vstore made this Python, and nothing in it is to be changed.
 Add the package to the spec and run "vstore realise", or make an environment: python -m venv DIR
"""
_COPIES = re.compile(r"^( +)shutil\.copy(?:mode|2)\(srcfile, dstfile\)\n", re.MULTILINE)
_WRITABLE = r"\g<0>\1os.chmod(dstfile, os.stat(dstfile).st_mode | 0o200)  # the store's files are read-only" + "\n"


def fit_for_store(root: Path, stdlib: Path) -> None:
    """Change the tree `root`, whose library is at `stdlib`, before the library is compiled."""
    (stdlib / "EXTERNALLY-MANAGED").write_text(_EXTERNALLY_MANAGED, "utf-8")
    if (root / "bin").is_dir():
        make_link(root / "libexec", "bin", folder=True)
    module = stdlib / "venv" / "__init__.py"
    if module.is_file():  # Debian has it in a package of its own
        text = module.read_bytes().decode("utf-8")
        module.write_bytes(_COPIES.sub(_WRITABLE, text).encode("utf-8"))
