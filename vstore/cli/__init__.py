"""The command line. It parses options, calls `vstore.api`, prints the result and exits."""

from __future__ import annotations

import gc
import os
from typing import NoReturn

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit. Ctrl-C while modules are loaded ends the process without a message."""
    gc.set_threshold(100_000)  # loading modules makes no garbage; collections take a twentieth of a short command
    try:
        from vstore.cli.app import main as run
    except KeyboardInterrupt:
        os._exit(130)
    run(arguments)
