"""The file pyvenv.cfg of a virtual environment, and the layer that it names if vstore made the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from vstore.fs.reading import read_regular

CONFIGURATION = "pyvenv.cfg"
LAYER_KEY = "vstore-layer"  # it tells our environments from others
_MAX_BYTES = 1 << 16


def layer_of(environment: Path) -> Path | None:
    """Return the folder of the layer that a development environment shows; None for any other folder or file."""
    layer = read_configuration(environment).get(LAYER_KEY)
    return None if layer is None else Path(layer)


def read_configuration(environment: Path) -> Mapping[str, str]:
    """Return the values of pyvenv.cfg, keys in lower case. They are empty if the folder is no virtual environment.

    The first value of a key counts.
    """
    try:
        lines = os.fsdecode(read_regular(environment / CONFIGURATION, limit=_MAX_BYTES)).splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in reversed(lines))
    return {key.strip().lower(): value.strip() for key, _, value in pairs if value}
