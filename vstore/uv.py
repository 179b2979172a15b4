"""The only door to the uv executable."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vstore.errors import ToolError
from vstore.stop import Stop

_UNREACHABLE = ("error sending request", "failed to connect", "dns error", "Could not connect", "operation timed out")
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
    """uv with a private cache; `environment` passes a user's own settings (indexes, mirrors, logins) on."""

    cache_dir: Path
    offline: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    stop: Stop = field(default_factory=Stop, compare=False)

    def run(
        self,
        arguments: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        timeout_seconds: float | None = None,
        doing: str = "running",
        changes: Mapping[str, str] | None = None,
    ) -> str:
        """Run uv and return its standard output. Raises UvFailed with uv's own words, ToolError without uv, Stopped."""
        import subprocess  # most commands do without it

        command = [_executable(), "--no-progress", "--color", "never", *map(str, arguments)]
        if self.offline:
            command.append("--offline")
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**self._environment(), **(changes or {})},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
            )
            with process, self.stop.calling(process.kill):
                try:
                    out, said = process.communicate(timeout=timeout_seconds)
                except BaseException:  # interrupted, or it took too long
                    process.kill()
                    raise
        except subprocess.TimeoutExpired as error:
            raise UvFailed(f"uv took more than {timeout_seconds:.0f} s while {doing}", "operation timed out") from error
        except OSError as error:
            raise ToolError(f"uv cannot be started: {error.strerror}", hint="install the `uv` package") from error
        if process.returncode != 0:
            self.stop.check()
            raise self._failure(doing, said)
        return out

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

    def _environment(self) -> dict[str, str]:
        """The user's environment without what would lead uv astray from what the lock says."""
        kept = {
            name: value
            for name, value in self.environment.items()
            if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT", "UV_PYTHON", "UV_COMPILE_BYTECODE")
        }
        return {**kept, "UV_CACHE_DIR": str(self.cache_dir), "UV_NO_PROGRESS": "1"}


_finding = threading.Lock()  # it asks sysconfig, which fails when two threads ask it first


def _executable() -> str:
    from uv import find_uv_bin

    try:
        with _finding:
            return str(find_uv_bin())
    except FileNotFoundError as error:
        raise ToolError("uv is not installed beside vstore", hint="install the `uv` package") from error
