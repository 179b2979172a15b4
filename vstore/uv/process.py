"""Running uv."""

from __future__ import annotations

import re
import shlex
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from vstore.cancel import CancelToken
from vstore.errors import ToolError, UsageError
from vstore.fs.netrc import check_netrc
from vstore.uv.access import access_settings
from vstore.uv.bars import DownloadBars, OnBytes, OnPackages, ResolvedPackages, Terminal
from vstore.uv.environment import uv_environment

_UNREACHABLE = ("error sending request", "failed to connect", "dns error", "Could not connect", "operation timed out")
_FEATURES = "pylock"  # install from PEP 751 files; as an option it would replace the user's features
_WARNING = re.compile(r"^warning: (.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)  # with its indented lines
_DISK_FULL = ("No space left on device", "os error 28")


class UvError(ToolError):
    """uv failed. `output` is its standard error."""

    def __init__(self, message: str, output: str, *, hint: str | None = None) -> None:
        lines = [line.rstrip() for line in output.splitlines() if line.strip() and not line.startswith("Using CPython")]
        super().__init__(message, details=lines[-12:], hint=hint)
        self.output = output

    @property
    def unreachable(self) -> bool:
        """Whether it failed because a server could not be reached."""
        return any(sign in self.output for sign in _UNREACHABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uv:
    """Runs uv with its own cache, and the environment of a user (indexes, mirrors, logins).

    `settings` are the access settings (`with_access`) of every run, which reads no other configuration file.
    `on_bytes` is called with the bytes downloaded and the total, `on_packages` with the number of resolved packages;
    only one of them can be set. `on_call` is called with each command and its time, then with each line that uv wrote
    on standard error; `on_warning` with each warning among them, as one line. They may have logins in URLs.
    """

    cache_dir: Path
    offline: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    settings: Mapping[str, object] = field(default_factory=dict)
    cancel: CancelToken = field(default_factory=CancelToken, compare=False)
    on_bytes: OnBytes | None = field(default=None, compare=False)
    on_packages: OnPackages | None = field(default=None, compare=False)
    on_call: Callable[[str], object] | None = field(default=None, compare=False)
    on_warning: Callable[[str], object] | None = field(default=None, compare=False)

    def with_access(self, settings: Mapping[str, object], folder: Path) -> Self:
        """Return uv with the access settings of a spec in `folder`, given its uv table, of this user and this machine.

        Raises UsageError for settings of the user that cannot be read.
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
        """Run uv and return its standard output.

        Raises UvError, Cancelled, ToolError if uv cannot be started, and UsageError if the netrc file is a FIFO.
        """
        import subprocess  # not needed by most commands

        self._check_netrc()
        started = time.monotonic()
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
                        out, errors = process.communicate(timeout=timeout_seconds)
                    except BaseException:  # interrupted, or timed out
                        process.kill()
                        raise
            except subprocess.TimeoutExpired as error:
                failed = UvError(f"uv took more than {timeout_seconds:.0f} s while {doing}", "operation timed out")
                raise failed from error
            except OSError as error:
                raise ToolError(f"uv cannot be started: {error.strerror}", hint="install the `uv` package") from error
            errors = terminal.output() if terminal else errors
            self._report(command[3:], process.returncode, time.monotonic() - started, errors)
            if process.returncode != 0:
                self.cancel.check()
                raise self._failure(doing, errors)
            return out

    def _check_netrc(self) -> None:
        """Refuse a netrc file that uv would read for ever. Offline, it reads none."""
        try:
            if not self.offline:
                check_netrc(self.environment)
        except ValueError as error:
            raise UsageError(str(error), hint="set NETRC to a regular file, or remove this one") from error

    def _report(self, arguments: Sequence[str], code: int, seconds: float, errors: str) -> None:
        if self.on_call is not None:
            end = f" with exit code {code}" if code else ""
            self.on_call(f"{shlex.join(['uv', *arguments])}: ended in {seconds:.2f} s{end}")
            for line in errors.splitlines():
                self.on_call(f"  uv: {line}")
        if self.on_warning is not None:
            for warning in _WARNING.findall(errors):
                self.on_warning(" ".join(warning.split()))

    def _terminal(self, held: ExitStack) -> Terminal | None:
        if self.on_bytes is not None:
            return Terminal.open(DownloadBars(self.on_bytes), held)
        return Terminal.open(ResolvedPackages(self.on_packages), held) if self.on_packages is not None else None

    def _options(self, arguments: Sequence[str | Path], held: ExitStack) -> list[str]:
        options = ["--offline"] if self.offline else []
        if "--config-file" in arguments:  # it has these settings too
            return options
        if not self.settings:
            return [*options, "--no-config"]
        import tomli_w

        file = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="vstore-uv-")), "uv.toml")
        file.write_text(tomli_w.dumps(self.settings), "utf-8")
        return [*options, "--config-file", str(file)]

    def forget(self, packages: Iterable[str]) -> None:
        """Remove packages from the cache, so that they are fetched again."""
        names = sorted(packages)
        if names:
            self.run(["cache", "clean", *names], doing="cleaning its cache")

    def _failure(self, doing: str, output: str) -> UvError:
        failed = UvError(f"uv failed while {doing}", output)
        if any(sign in output for sign in _DISK_FULL):
            failed.message = f"no space left on the file system of the store, while {doing}"
            failed.hint = "run `vstore gc`, or free space elsewhere"
            return failed
        if self.offline:
            failed.hint = "this ran offline: run once without --offline to fetch the missing files"
        elif failed.unreachable:
            failed.message = f"the package index cannot be reached, while {doing}"
            failed.hint = "check the network and uv's index settings; --offline uses only cached files"
        return failed

    def _environment(self, arguments: Sequence[str | Path]) -> dict[str, str]:
        kept = uv_environment(arguments, self.environment)
        features = ",".join(filter(None, (kept.get("UV_PREVIEW_FEATURES"), _FEATURES)))
        return {**kept, "UV_CACHE_DIR": str(self.cache_dir), "UV_PREVIEW_FEATURES": features}


_find_lock = threading.Lock()  # find_uv_bin uses sysconfig, whose first use is not safe for several threads


def _executable() -> str:
    from uv import find_uv_bin

    try:
        with _find_lock:
            return str(find_uv_bin())
    except FileNotFoundError as error:
        raise ToolError("uv is not installed beside vstore", hint="install the `uv` package") from error
