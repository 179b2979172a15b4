"""Look at the environment of the Python that runs this: `probe.py FUNCTION FILE`, JSON on stdin and in FILE.

Standard library only, any CPython from 3.9: it runs in the environments that are compared.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import pkgutil
import re
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import warnings
import xml.etree.ElementTree

IMPORT_SECONDS = 180
SCRIPT_SECONDS = 60
SKIPPED = {"antigravity", "this", "idlelib"}
OWN = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")


def inventory(_: object) -> dict[str, object]:
    """Distributions, modules and files, without importing anything."""
    site = sysconfig.get_path("purelib")
    distributions: dict[str, dict[str, object]] = {}
    tops = {}
    for found in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
        if name in distributions:
            distributions[name]["twice"] = True
            continue
        files = found.files or []
        there = [
            file for file in files if "__pycache__" not in str(file) and file.name not in OWN and file.parts[0] != ".."
        ]
        lost = sorted(str(file) for file in there if not os.path.exists(str(file.locate())))
        distributions[name] = {
            "version": found.version,
            "files": len(there),
            "missing": lost,
            "entry points": sorted(f"{e.group}|{e.name}|{e.value}" for e in found.entry_points),
            "requires": sorted(found.requires or []),
            "metadata": hashlib.sha256((found.read_text("METADATA") or "").encode()).hexdigest(),
        }
        tops[name] = _tops([file.parts for file in files])
    return {
        "distributions": distributions,
        "tops": tops,
        "modules": dict.fromkeys(_modules([site], ""), True),
        "site files": _files(site, content=True),
        "data files": {
            folder: _files(os.path.join(sys.prefix, folder), content=folder != "bin")
            for folder in ("bin", "share", "etc", "include")
        },
        "paths": {key: os.path.relpath(path, sys.prefix) for key, path in sysconfig.get_paths().items()},
        "version": sys.version,
    }


def _tops(files: list[tuple[str, ...]]) -> list[str]:
    """The modules to import for a distribution: top-level ones, and packages inside namespaces."""
    suffixes = importlib.machinery.all_suffixes()
    found = set()
    packages = {parts[:-1] for parts in files if parts[-1] == "__init__.py"}
    for parts in files:
        if len(parts) == 1:
            stem = next((parts[0][: -len(one)] for one in suffixes if parts[0].endswith(one)), "")
            found.add(stem.partition(".")[0])
        elif parts[0] != ".." and not parts[0].endswith((".dist-info", ".data", ".libs")):
            found.add(parts[0])
    inside = {parts for parts in packages if any(parts[:length] in packages for length in range(1, len(parts)))}
    found |= {".".join(parts) for parts in packages - inside}
    return sorted(name for name in found if all(part.isidentifier() for part in name.split(".")))


def _modules(folders: list[str], prefix: str) -> list[str]:
    names = []
    for module in pkgutil.iter_modules(folders, prefix):
        names.append(module.name)
        if module.ispkg:
            below = [os.path.join(folder, module.name.rpartition(".")[2]) for folder in folders]
            names += _modules([folder for folder in below if os.path.isdir(folder)], f"{module.name}.")
    return names


def _files(top: str, *, content: bool) -> dict[str, object]:
    """Path → size, executable or not, digest; links followed, bytecode left out."""
    found: dict[str, object] = {}
    for folder, folders, names in os.walk(top, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            place = os.path.join(folder, name)
            try:
                status = os.stat(place)
                digest = _digest(place) if content else ""
            except OSError as error:
                found[os.path.relpath(place, top)] = f"unreadable: {error.strerror}"
                continue
            found[os.path.relpath(place, top)] = [
                status.st_size if content else 0,
                bool(status.st_mode & 0o111),
                digest,
            ]
    return found


def _digest(place: str) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    with open(place, "rb") as file:
        while data := file.read(1 << 20):
            hasher.update(data)
    return hasher.hexdigest()


def imports(names: list[str]) -> dict[str, object]:
    """Import each module in a process of its own: what is loaded then, or how it fails."""
    return {name: _import(name) for name in names if name not in SKIPPED}


def _import(name: str) -> object:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.close(reader)
        _in_child(name, writer)
    os.close(writer)
    data, deadline = b"", time.monotonic() + IMPORT_SECONDS
    while select.select([reader], [], [], max(deadline - time.monotonic(), 0))[0]:
        piece = os.read(reader, 1 << 16)
        if not piece:
            break
        data += piece
    os.close(reader)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return json.loads(data) if data else {"failed": f"died with {status}"}


def _in_child(name: str, writer: int) -> None:
    import importlib.resources

    null = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(null, handle)
    warnings.simplefilter("ignore")
    before = set(sys.modules)
    answer: dict[str, object]
    try:
        module = importlib.import_module(name)
        answer = {"loaded": sorted(set(sys.modules) - before)}
        try:
            if not getattr(module.__spec__, "submodule_search_locations", None):
                raise TypeError("no package")
            found = importlib.resources.files(name).iterdir()
            answer["resources"] = sorted(one.name for one in found if one.name != "__pycache__")
        except BaseException as error:
            answer["resources"] = type(error).__name__
    except BaseException as error:
        answer = {"failed": f"{type(error).__name__}: {error}"[:400]}
    with os.fdopen(writer, "w") as file:
        json.dump(answer, file)
    os._exit(0)


def scripts(names: list[str]) -> dict[str, object]:
    """Run each script with --help, else with --version: its output, and the exit code if it fails."""
    environment = {**os.environ, "COLUMNS": "2000", "QT_QPA_PLATFORM": "offscreen"}
    return {name: _script(os.path.join(sys.prefix, "bin", name), environment) for name in names}


def _script(script: str, environment: dict[str, str]) -> object:
    found: dict[str, object] = {}
    for option in ("--help", "--version"):
        with tempfile.TemporaryFile() as output:
            try:
                process = subprocess.Popen(
                    [script, option],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                return {"option": option, "failed": f"not started: {error.strerror}"}
            try:
                code = process.wait(SCRIPT_SECONDS)
            except subprocess.TimeoutExpired:
                return {"option": option, "failed": "no end"}
            finally:
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)  # programs that the script has started, too
                process.wait()
            output.seek(0)
            found = {"option": option, "output": output.read().decode("utf-8", "replace")}
        if code == 0:
            return found
        found["failed"] = code
    return found


def smoke(files: list[str]) -> dict[str, object]:
    """Run each file with this Python: output, and exit code if it fails.

    A file may write results of its own, by name, to the place in its argument: ``{"ok": true, "v": …}`` or
    ``{"ok": false, "msg": …}``. ENV_BIN tells it where the scripts are, SMOKE_TMP where it may write.
    """
    found: dict[str, object] = {}
    for file in files:
        scratch = tempfile.mkdtemp(prefix="smoke-")
        results = os.path.join(scratch, "results.json")
        done = subprocess.run(
            [sys.executable, file, results],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, "ENV_BIN": os.path.join(sys.prefix, "bin"), "SMOKE_TMP": scratch},
        )
        name = os.path.basename(file)
        if done.returncode:
            found[name] = {"output": done.stdout, "errors": done.stderr, "failed": done.returncode}
        elif not os.path.exists(results):
            found[name] = {"output": done.stdout}
        else:
            with open(results) as answers:
                for key, one in json.load(answers).items():
                    found[f"{name} {key}"] = {"output": one["v"]} if one["ok"] else {"failed": one["msg"]}
    return found


def suites(folders: dict[str, list[str]]) -> dict[str, object]:
    """Run pytest in a copy of each folder: each test, and its message if it fails."""
    found: dict[str, object] = {}
    for folder, arguments in folders.items():
        name = os.path.basename(folder)
        place = os.path.join(tempfile.mkdtemp(prefix="suite-"), name)
        shutil.copytree(folder, place)
        reporter = os.path.join(place, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "--continue-on-collection-errors", "-p", "no:cacheprovider"]
        command += ["--junitxml", reporter, *arguments]
        done = subprocess.run(
            command, cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        cases = list(xml.etree.ElementTree.parse(reporter).iter("testcase")) if os.path.exists(reporter) else []
        if not cases:
            found[name] = {"output": done.stdout, "failed": done.returncode}
        for case in cases:
            test = re.sub("0x[0-9a-f]+", "0x", f"{name} {case.get('classname')}.{case.get('name')}")
            bad = [one.get("message") for one in case if one.tag in ("failure", "error")]
            found[test] = {"failed": bad} if bad else {"skipped": case.find("skipped") is not None}
    return found


if __name__ == "__main__":
    answer = globals()[sys.argv[1]](json.load(sys.stdin))
    with open(sys.argv[2], "w") as file:
        json.dump(answer, file)
