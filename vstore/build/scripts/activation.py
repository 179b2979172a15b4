"""Scripts that activate a layer in a shell, as virtual environments have them.

They have no absolute path: a script finds out where it lies. So they work wherever the layer is, and an environment
that is activated through a profile follows the profile.
"""

from __future__ import annotations

from pathlib import Path

from vstore.build.layer_metadata import LayerMetadata
from vstore.fs.atomic import write_file

_TEMPLATES = Path(__file__).with_name("activate")


def write_activation_scripts(layer_dir: Path, metadata: LayerMetadata) -> None:
    """Write the activation scripts into the scripts folder of a layer."""
    layout = metadata.layout
    for name in layout.activation_scripts:
        path = layer_dir / layout.scripts / name
        text = (_TEMPLATES / name).read_text("utf-8")
        text = text.replace("@NAME@", metadata.name).replace("@SCRIPTS@", layout.scripts)
        if name.endswith(".bat"):
            text = text.replace("\n", "\r\n")
        write_file(path, text.encode(), durable=False)
