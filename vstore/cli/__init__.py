"""The command line: options in, one call, output. The only place that reads the environment, prints and exits."""

from __future__ import annotations

import gc
import os
from typing import NoReturn

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line, as `vstore.cli.app.main`. Ctrl-C while its modules are loaded ends it in silence."""
    gc.set_threshold(100_000)  # modules that are loaded are no garbage: a twentieth of a short command's time
    try:
        from vstore.cli.app import main as run
    except KeyboardInterrupt:
        os._exit(130)
    run(arguments)
