"""Scripts that activate a layer in a shell, as virtual environments have them.

They hold no absolute path: each shell tells where the file is that it reads. So they work wherever the layer lies, and
what is activated through a profile follows the profile.
"""

from __future__ import annotations

import os
from pathlib import Path

from vstore.build.facts import LayerFacts
from vstore.fs.atomic import write_file

_TEMPLATES = Path(__file__).with_name("activate")
_EVERYWHERE = ("activate", "activate.fish", "activate.nu", "Activate.ps1")
_POSIX = ("activate.csh",)
_WINDOWS = ("activate.bat", "deactivate.bat")


def write_activation(layer_dir: Path, facts: LayerFacts) -> None:
    """Write the scripts beside the layer's others; a distribution's script of the same name stays."""
    layout = facts.layout
    for name in (*_EVERYWHERE, *(_WINDOWS if layout.windows else _POSIX)):
        path = layer_dir / layout.scripts / name
        if os.path.lexists(path):
            continue
        text = (_TEMPLATES / name).read_text("utf-8")
        text = text.replace("@NAME@", facts.name).replace("@SCRIPTS@", layout.scripts)
        if name.endswith(".bat"):
            text = text.replace("\n", "\r\n")
        write_file(path, text.encode(), durable=False)
