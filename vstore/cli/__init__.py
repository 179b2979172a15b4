"""The command line: options in, one call, output. The only place that reads the environment, prints and exits."""

from vstore.cli.app import main

__all__ = ["main"]
