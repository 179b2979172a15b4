"""Build the sdist and the wheel, and try the wheel as a user has it: see `scripts/release_check --help`.

The wheel is built from the sdist, so that the sdist is known to be whole. It is installed outside the checkout into new
environments without extras, one with the newest and one with the oldest versions that it allows. In each a small spec
is realised, pushed, pulled and verified.
"""

from __future__ import annotations

import argparse
import email
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from email.message import Message
from pathlib import Path

import uv

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.changelog import ChangelogError, released  # noqa: E402
from scripts.testing.wheels import make_wheel  # noqa: E402

_PAGES = ("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "uv.lock")
_SPEC = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{version}"
requirements = ["iniconfig", "greeting"]

[[applications]]
name = "hello"
launch_module = "hello.py"
runtime = "python"
requirements = []
"""
_HELLO = "import greeting, iniconfig, sys\nprint(greeting.WORD, iniconfig.__name__, *sys.argv[1:])\n"


class ReleaseError(Exception):
    """The release cannot be made; the text says why, in one line for each reason."""


def build(output: Path) -> Path:
    """Build the sdist, and the wheel from it, into a new folder; return the folder."""
    _run(uv.find_uv_bin(), "build", "--quiet", "--out-dir", str(output), str(ROOT))
    return output


def missing_files(sdist: Path, wheel: Path) -> list[str]:
    """Return what the archives lack: pages of the sdist, and files of the package that are in the checkout."""
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    lacking = [f"{sdist.name} lacks {name}" for name in _PAGES if name not in packed]
    with zipfile.ZipFile(wheel) as files:
        installed = set(files.namelist())
    ours = (file for file in (ROOT / "vstore").rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    names = sorted(file.relative_to(ROOT).as_posix() for file in ours)
    lacking += [f"{wheel.name} lacks {name}" for name in names if name not in installed]
    strangers = {name.partition("/")[0] for name in installed if ".dist-info/" not in name} - {"vstore"}
    return lacking + [f"{wheel.name} installs {name} beside vstore" for name in sorted(strangers)]


def metadata(wheel: Path) -> Message:
    """Return the METADATA of a wheel."""
    with zipfile.ZipFile(wheel) as files:
        (name,) = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(files.read(name))


def wrong_for_tag(tag: str, facts: Message, changelog: Path) -> Iterable[str]:
    """Say why these files may not be published as `tag`: another version, no changes told, no public address."""
    if tag != f"v{facts['Version']}":
        yield f"the tag is {tag}, but the version is {facts['Version']}"
    try:
        released(changelog, str(facts["Version"]))
    except ChangelogError as error:
        yield str(error)
    for url in facts.get_all("Project-URL", []):
        if re.search(r"//[^/]*\.example(/|$)", url):
            yield f"pyproject.toml has no public address yet: {url}"


def try_installed(wheel: Path, version: str, resolution: str, folder: Path) -> None:
    """Install the wheel into an environment in the new `folder`, and use it. Raises ReleaseError if that fails.

    `resolution` is uv's: which versions of the direct dependencies are installed.
    """
    folder.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("VSTORE", "PYTHON"))}
    environment |= {"HOME": str(folder)}
    bin_folder = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    _run(uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
    install = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", str(bin_folder / "python")]
    _run(*install, "--only-binary", ":all:", "--resolution", resolution, "--requirements", str(ROOT / "pyproject.toml"))
    _run(*install, "--no-deps", str(wheel))
    (folder / "wheels").mkdir()
    make_wheel(folder / "wheels", "greeting", "1.0", {"greeting.py": "WORD = 'hello'\n"})
    (folder / "hello.py").write_text(_HELLO)
    (folder / "spec.toml").write_text(_SPEC.format(version=".".join(map(str, sys.version_info[:2]))))

    def vstore(root: str, *arguments: str) -> str:
        return _run(str(bin_folder / "vstore"), "--root", root, *arguments, cwd=folder, env=environment)

    _expect(vstore("here", "--version"), f"vstore {version}\n")
    key = json.loads(vstore("here", "key", "generate", "tried", "--json"))
    realise = ("realise", "spec.toml", "--local-wheels", "wheels", "--profile", "tried", "--json")
    done = json.loads(vstore("here", *realise))
    _expect([layer["name"] for layer in done["layers"]][1:], ["python", "app-hello"])
    _expect(vstore("here", "run", "tried", "hello", "--", "you"), "hello iniconfig you\n")
    _expect(json.loads(vstore("here", *realise))["changed"], False)
    _expect(json.loads(vstore("here", "sql", "select count(*) as n from generations", "--json")), [{"n": 1}])
    _refused([str(bin_folder / "vstore"), "cache", "ls", "s3://bucket"], ".[buckets]", folder, environment)
    vstore("here", "push", "./cache", "tried", "--channel", "stable")
    vstore("there", "pull", "./cache", "stable", "--profile", "tried", "--trust", key["public"])
    _expect(vstore("there", "run", "tried", "hello"), "hello iniconfig\n")
    _expect(json.loads(vstore("there", "verify", "--contents", "--json"))["problems"], [])


def _run(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ReleaseError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _refused(command: list[str], hint: str, cwd: Path, env: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 2 or hint not in done.stderr:
        raise ReleaseError(f"{' '.join(command)} does not say which extra it needs:\n{done.stderr}")


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise ReleaseError(f"found {found!r}, expected {expected!r}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/release_check", description=__doc__)
    parser.add_argument("--built", type=Path, metavar="DIR", help="try the files in this folder, and build none")
    parser.add_argument("--output-dir", type=Path, metavar="DIR", help="keep the tried files in this new folder")
    parser.add_argument("--tag", help="refuse what may not be published under this tag, such as v1.2.3")
    given = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            _check(given.built or build(folder / "dist"), folder, given.tag)
            if given.output_dir is not None:
                shutil.copytree(folder / "dist", given.output_dir, ignore=shutil.ignore_patterns(".gitignore"))
    except ReleaseError as error:
        print(f"release_check: {error}", file=sys.stderr)
        return 1
    return 0


def _check(files: Path, folder: Path, tag: str | None) -> None:
    (sdist,), (wheel,) = files.glob("*.tar.gz"), files.glob("*.whl")
    facts = metadata(wheel)
    wrong = missing_files(sdist, wheel)
    wrong += wrong_for_tag(tag, facts, ROOT / "CHANGELOG.md") if tag else ()
    if wrong:
        raise ReleaseError("\n".join(wrong))
    for resolution in ("highest", "lowest-direct"):
        try_installed(wheel, str(facts["Version"]), resolution, folder / resolution)
    print(f"{sdist.name} and {wheel.name} are whole, and the wheel works with the newest and the oldest dependencies")


if __name__ == "__main__":
    sys.exit(main())
