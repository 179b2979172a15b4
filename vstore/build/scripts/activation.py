"""Scripts that activate a layer in a shell, as virtual environments have them.

They hold no absolute path: each shell tells where the file is that it reads. So they work wherever the layer lies, and
what is activated through a profile follows the profile.
"""

from __future__ import annotations

from pathlib import Path

from vstore.build.layer_metadata import LayerMetadata
from vstore.fs.atomic import write_file

_TEMPLATES = Path(__file__).with_name("activate")


def write_activation(layer_dir: Path, facts: LayerMetadata) -> None:
    """Write the scripts beside the layer's others."""
    layout = facts.layout
    for name in layout.activation:
        path = layer_dir / layout.scripts / name
        text = (_TEMPLATES / name).read_text("utf-8")
        text = text.replace("@NAME@", facts.name).replace("@SCRIPTS@", layout.scripts)
        if name.endswith(".bat"):
            text = text.replace("\n", "\r\n")
        write_file(path, text.encode(), durable=False)
