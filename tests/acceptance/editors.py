"""Tools of developers, each asked for the version of `midlib` that it sees in an environment."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from uv import find_uv_bin

NAMES = ["debugpy", "jupyter_client", "mypy", "pip", "pyright[nodejs]", "ty"]  # as installed beside the layers
INTERPRETER_INFO = "import json, sys; print(json.dumps([sys.version_info[:3], sys.prefix, sys.executable]))"
RUN_IN_KERNEL = """\
import sys
from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name=sys.argv[1])
try:
    client.execute_interactive("import midlib; print(midlib.VERSION)", timeout=120)
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""


STOP = """\
import debugpy
print(debugpy.listen(("127.0.0.1", 0))[1], flush=True)
debugpy.wait_for_client()
import midlib
found = midlib.VERSION
print(found)
"""


class Tools:
    """The tools, installed in a virtual environment at `place`; `work` is a folder with the code to check."""

    def __init__(self, place: Path, work: Path) -> None:
        self.place = place
        self.work = work
        self.known: dict[str, Callable[[Path], str]] = {
            "uv": self.uv,
            "pip": self.pip,
            "pyright": self.pyright,
            "mypy": self.mypy,
            "ty": self.ty,
            "debugpy": self.debugpy,
            "jupyter": self.jupyter,
            "locator": locate,
        }
        work.mkdir()
        (work / "check.py").write_text("import midlib\nreveal_type(midlib.VERSION)\n")
        (work / "stop.py").write_text(STOP)

    @classmethod
    def install(cls, folder: Path) -> Tools:
        """Install the tools from the index."""
        place = folder / "tools"
        subprocess.run([find_uv_bin(), "venv", "-q", place], check=True)
        subprocess.run([find_uv_bin(), "pip", "install", "-q", "--python", place, *NAMES], check=True)
        return cls(place, folder / "work")

    def _run(self, *command: str | Path, **changes: str) -> str:
        kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(command, cwd=self.work, env={**kept, **changes}, capture_output=True, text=True)
        assert done.returncode in (0, 1), f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def uv(self, environment: Path) -> str:
        """Return the version that `uv pip list` shows."""
        listed = self._run(find_uv_bin(), "pip", "list", "-q", "--format", "json", "--python", environment)
        return _version(json.loads(listed))

    def pip(self, environment: Path) -> str:
        """Return the version that pip lists, from outside of the environment."""
        pip = self.place / "bin/pip"
        return _version(json.loads(self._run(pip, "--python", environment, "list", "--format", "json")))

    def pyright(self, environment: Path) -> str:
        """Return the version that pyright reveals, with the Python of the environment."""
        said = self._run(self.place / "bin/pyright", "--pythonpath", environment / "bin/python", "check.py")
        return _revealed(said)

    def mypy(self, environment: Path) -> str:
        """Return the version that mypy reveals, with the Python of the environment."""
        options = ("--python-executable", environment / "bin/python", "--cache-dir", os.devnull)
        return _revealed(self._run(self.place / "bin/mypy", *options, "check.py"))

    def ty(self, environment: Path) -> str:
        """Return the version that ty reveals.

        For a layer its folder of packages is named: ty refuses a `pyvenv.cfg` without `home`.
        """
        options: list[str | Path] = ["--python", environment]
        if (environment / "libexec/lib").exists():
            (packages,) = environment.glob("lib/python3*/site-packages")
            options = ["--python", environment / "libexec", "--extra-search-path", packages]
        return _revealed(self._run(self.place / "bin/ty", "check", *options, "check.py"))

    def jupyter(self, environment: Path) -> str:
        """Return the version in a kernel that `vstore kernel install` or ipykernel wrote for the environment."""
        data = self.work / "jupyter"
        (name,) = [one.parent.name for one in data.glob("kernels/*/kernel.json") if _is_for(one, environment)]
        return self._run(self.place / "bin/python", "-c", RUN_IN_KERNEL, name, JUPYTER_DATA_DIR=str(data)).strip()

    def debugpy(self, environment: Path) -> str:
        """Return the value of a variable where a debugger stops. The program has the debugpy of its own environment."""
        command = [str(environment / "bin/python"), "stop.py"]
        program = subprocess.Popen(command, cwd=self.work, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert program.stdout is not None
            with Debugger(int(program.stdout.readline())) as debugger:
                return debugger.value_at(self.work / "stop.py", 6, "found").strip("'")
        finally:
            program.kill()
            program.communicate()


class Debugger:
    """A client of the Debug Adapter Protocol."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._file = self._socket.makefile("rb")
        self._number = 0

    def __enter__(self) -> Debugger:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def value_at(self, file: Path, line: int, expression: str) -> str:
        """Attach, stop at a line and return the value of an expression there."""
        self._ask("initialize", adapterID="python", pathFormat="path", linesStartAt1=True)
        self._receive("response", "initialize")
        self._ask("attach", justMyCode=False)
        self._receive("event", "initialized")
        self._ask("setBreakpoints", source={"path": str(file)}, breakpoints=[{"line": line}])
        self._ask("configurationDone")
        thread = self._receive("event", "stopped")["threadId"]
        self._ask("stackTrace", threadId=thread)
        frame = self._receive("response", "stackTrace")["stackFrames"][0]
        self._ask("evaluate", expression=expression, frameId=frame["id"])
        return str(self._receive("response", "evaluate")["result"])

    def _ask(self, command: str, **arguments: object) -> None:
        self._number += 1
        message = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(message).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def _receive(self, kind: str, name: str) -> dict[str, Any]:
        while True:
            length = 0
            while (line := self._file.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            assert line, f"the debugger ended before the {kind} {name}"
            message = json.loads(self._file.read(length))
            if message["type"] == kind and message.get("event" if kind == "event" else "command") == name:
                assert message.get("success", True), message
                found: dict[str, Any] = message.get("body") or {}
                return found


def locate(environment: Path) -> str:
    """Find an environment as the locator of VS Code (python-environment-tools) does, then ask its Python.

    It needs a `pyvenv.cfg` with a full version above the folder of the Python, and takes the prefix from it.
    """
    python = environment / "bin/python"
    lines = (environment / "pyvenv.cfg").read_text().splitlines()
    (version,) = [
        one[2] for line in lines if (one := re.fullmatch(r"(version|version_info)\s*=\s*(\d+\.\d+\.\d+)", line))
    ]
    assert os.access(python, os.X_OK) and not (environment / "conda-meta").exists()
    numbers, prefix, executable = json.loads(subprocess.check_output([python, "-I", "-c", INTERPRETER_INFO]))
    assert numbers == [int(number) for number in version.split(".")]
    assert os.path.samefile(prefix, environment) and os.access(executable, os.X_OK)
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.check_output(
            [python, "-c", "import midlib; print(midlib.VERSION)"], cwd=folder, text=True
        ).strip()


def _version(listed: list[dict[str, str]]) -> str:
    return next(one["version"] for one in listed if one["name"] == "midlib")


def _revealed(said: str) -> str:
    found = re.search(r"Literal\[['\"](.+?)['\"]\]", said)
    assert found, said
    return found[1]


def _is_for(file: Path, environment: Path) -> bool:
    return Path(json.loads(file.read_text())["argv"][0]).parent.parent == environment
