"""Running uv."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from vstore.cancel import CancelToken
from vstore.errors import ToolError
from vstore.uv.access import access_settings
from vstore.uv.bars import Bars, Chosen, OnBytes, OnPackages, Terminal
from vstore.uv.environment import environment_of

_UNREACHABLE = ("error sending request", "failed to connect", "dns error", "Could not connect", "operation timed out")
_FEATURES = "pylock"  # installing from a file of PEP 751; as an option it would replace the user's features
_DISK_FULL = ("No space left on device", "os error 28")


class UvFailed(ToolError):
    """uv ended with an error; `output` is what it said."""

    def __init__(self, message: str, output: str, *, hint: str | None = None) -> None:
        lines = [line.rstrip() for line in output.splitlines() if line.strip() and not line.startswith("Using CPython")]
        super().__init__(message, details=lines[-12:], hint=hint)
        self.output = output

    @property
    def unreachable(self) -> bool:
        """Whether it failed because something could not be reached."""
        return any(sign in self.output for sign in _UNREACHABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uv:
    """uv with a private cache; `environment` passes a user's own settings (indexes, mirrors, logins) on.

    `settings` are those of a uv.toml that say how to reach places; each call has them, and no others but its own.
    `on_bytes` is called with the bytes downloaded and those in all, `on_packages` with the number of packages that a
    resolution has come to; the first excludes the second.
    """

    cache_dir: Path
    offline: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    cancel: CancelToken = field(default_factory=CancelToken, compare=False)
    on_bytes: OnBytes | None = field(default=None, compare=False)
    on_packages: OnPackages | None = field(default=None, compare=False)

    def reaching(self, settings: Mapping[str, Any], folder: Path) -> Self:
        """Return a uv that reaches places as a spec in `folder` with this uv table, this user and this machine say.

        Raises UsageError for settings of this user that cannot be read.
        """
        found, variables = access_settings(settings, self.environment, folder)
        return replace(self, settings=found, environment={**variables, **self.environment})

    def run(
        self,
        arguments: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        timeout_seconds: float | None = None,
        doing: str = "running",
        changes: Mapping[str, str] | None = None,
    ) -> str:
        """Run uv and return its standard output. Raises UvFailed (uv's own words), ToolError (no uv), Cancelled."""
        import subprocess  # most commands do without it

        with ExitStack() as held:
            terminal = self._terminal(held)
            command = [_executable(), "--color", "never", *map(str, arguments), *self._options(arguments, held)]
            command += [] if terminal else ["--no-progress"]
            try:
                process = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env={**self._environment(arguments), **(changes or {}), **({"TERM": "xterm"} if terminal else {})},
                    stdout=subprocess.PIPE,
                    stderr=terminal.handle if terminal else subprocess.PIPE,
                    text=True,
                    errors="replace",
                    stdin=subprocess.DEVNULL,
                )
                with process, self.cancel.calling(process.kill):
                    try:
                        out, said = process.communicate(timeout=timeout_seconds)
                    except BaseException:  # interrupted, or it took too long
                        process.kill()
                        raise
            except subprocess.TimeoutExpired as error:
                failed = UvFailed(f"uv took more than {timeout_seconds:.0f} s while {doing}", "operation timed out")
                raise failed from error
            except OSError as error:
                raise ToolError(f"uv cannot be started: {error.strerror}", hint="install the `uv` package") from error
            if process.returncode != 0:
                self.cancel.check()
                raise self._failure(doing, terminal.said() if terminal else said)
            return out

    def _terminal(self, held: ExitStack) -> Terminal | None:
        if self.on_bytes is not None:
            return Terminal.open(Bars(self.on_bytes), held)
        return Terminal.open(Chosen(self.on_packages), held) if self.on_packages is not None else None

    def _options(self, arguments: Sequence[str | Path], held: ExitStack) -> list[str]:
        options = ["--offline"] if self.offline else []
        if "--config-file" in arguments:  # which holds these settings too
            return options
        if not self.settings:
            return [*options, "--no-config"]
        import tomli_w

        file = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="vstore-uv-")), "uv.toml")
        file.write_text(tomli_w.dumps(self.settings), "utf-8")
        return [*options, "--config-file", str(file)]

    def forget(self, packages: Iterable[str]) -> None:
        """Take packages out of the cache, so that they are fetched anew."""
        names = sorted(packages)
        if names:
            self.run(["cache", "clean", *names], doing="cleaning its cache")

    def _failure(self, doing: str, output: str) -> UvFailed:
        failed = UvFailed(f"uv failed while {doing}", output)
        if any(sign in output for sign in _DISK_FULL):
            failed.message = f"no space left on the file system of the store, while {doing}"
            failed.hint = "run `vstore gc`, or free space elsewhere"
            return failed
        if self.offline:
            failed.hint = "this ran offline: run once without --offline to fetch what is missing"
        elif failed.unreachable:
            failed.message = f"the package index cannot be reached, while {doing}"
            failed.hint = "check the network and uv's index settings; --offline uses only what is cached"
        return failed

    def _environment(self, arguments: Sequence[str | Path]) -> dict[str, str]:
        kept = environment_of(arguments, self.environment)
        features = ",".join(filter(None, (kept.get("UV_PREVIEW_FEATURES"), _FEATURES)))
        return {**kept, "UV_CACHE_DIR": str(self.cache_dir), "UV_PREVIEW_FEATURES": features}


_finding = threading.Lock()  # it asks sysconfig, which fails when two threads ask it first


def _executable() -> str:
    from uv import find_uv_bin

    try:
        with _finding:
            return str(find_uv_bin())
    except FileNotFoundError as error:
        raise ToolError("uv is not installed beside vstore", hint="install the `uv` package") from error
