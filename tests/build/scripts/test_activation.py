"""A layer is activated in the shells that are here, wherever it lies, and left again."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from tests.build.layers import Store
from vstore.build.clashes import describe_clashes
from vstore.build.layer_metadata import LayerMetadata
from vstore.build.links import Dependency
from vstore.build.scripts.activation import write_activation_scripts
from vstore.objects import Kind
from vstore.python_version import PythonVersion
from vstore.target import Target

POSIX = """\
set -eu
PS1='$ ' PYTHONHOME=/nowhere before=$PATH
export PYTHONHOME
. {bin}/activate
echo "$VIRTUAL_ENV|$VIRTUAL_ENV_PROMPT|${{PATH%%:*}}/python|${{PYTHONHOME-unset}}|$PS1"
. {bin}/activate
python -c 'import sys; print(sys.prefix)'
deactivate
test "$PATH" = "$before"
echo "${{VIRTUAL_ENV-unset}}|$PYTHONHOME|$PS1"
! command -v deactivate > /dev/null
"""
FISH = """\
set -gx PYTHONHOME /nowhere
function fish_prompt; echo '$ '; end
set before "$PATH"
source {bin}/activate.fish
set home (set -q PYTHONHOME; or echo unset)
echo "$VIRTUAL_ENV|$VIRTUAL_ENV_PROMPT|"(command -v python)"|$home|"(fish_prompt)
source {bin}/activate.fish
python -c 'import sys; print(sys.prefix)'
deactivate
test "$PATH" = "$before"; or exit 1
echo (set -q VIRTUAL_ENV; or echo unset)"|$PYTHONHOME|"(fish_prompt)
functions -q deactivate; and exit 1
exit 0
"""
CSH = """\
setenv PYTHONHOME /nowhere
set prompt = "% "
set before = "$PATH"
source {bin}/activate.csh
set python = `which python`
set pythonhome = unset
if ($?PYTHONHOME) set pythonhome = set
echo "$VIRTUAL_ENV|$VIRTUAL_ENV_PROMPT|$python|$pythonhome|$prompt"
source {bin}/activate.csh
python -c 'import sys; print(sys.prefix)'
deactivate
if ("$PATH" != "$before") exit 1
set left = unset
if ($?VIRTUAL_ENV) set left = set
echo "$left|$PYTHONHOME|$prompt"
alias deactivate | grep . && exit 1
exit 0
"""
NU = """\
$env.PYTHONHOME = "/nowhere"
let before = $env.PATH
overlay use "{bin}/activate.nu"
print $"($env.VIRTUAL_ENV)|($env.VIRTUAL_ENV_PROMPT)|(which python | get path.0)|unset|"
python -c 'import sys; print(sys.prefix)'
deactivate
if $env.PATH != $before {{ exit 1 }}
print "unset|/nowhere|"
"""
SHELLS = {
    "bash": ([], POSIX, ("(app) $ ", "$ ")),
    "dash": ([], POSIX, ("(app) $ ", "$ ")),
    "ksh": ([], POSIX, ("(app) $ ", "$ ")),
    "mksh": ([], POSIX, ("(app) $ ", "$ ")),
    "zsh": (["-f"], POSIX, ("(app) $ ", "$ ")),
    "fish": (["--no-config"], FISH, ("(app) $ ", "$ ")),
    "tcsh": (["-f"], CSH, ("(app) % ", "% ")),
    "nu": (["--no-config-file"], NU, ("", "")),
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Dependency:
    """A layer below a folder with odd characters, and a profile that leads to it."""
    folder = tmp_path_factory.mktemp("activation") / "it's my wörk $1"
    layer = Store(folder).layer("app")
    (folder / "profile").symlink_to(layer[1])
    return layer


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("from_where", ["a profile", "its own folder"])
def test_activated_and_left(app: Dependency, tmp_path: Path, shell: str, from_where: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    options, template, (inside, outside) = SHELLS[shell]
    profile = app[1].parents[1] / "profile"
    place, cwd = ("'x/p'/bin", tmp_path) if from_where == "a profile" else (".", app[1] / "bin")
    (tmp_path / "x").symlink_to(profile.parent)
    (tmp_path / "x/p").unlink(missing_ok=True)
    (tmp_path / "x/p").symlink_to(profile.name)
    if shell == "nu":  # looks beside the script
        place = str(tmp_path / "x/p/bin" if from_where == "a profile" else cwd)
    script = tmp_path / "script"
    script.write_text(template.format(bin=place))
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = subprocess.run([program, *options, script], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    told, prefix, after = done.stdout.splitlines()
    layer, name, python, home, prompt = told.split("|")
    assert (name, home, prompt) == ("app", "unset", inside)
    assert prefix == os.path.realpath(layer) == str(app[1])
    assert python == f"{layer}/bin/python"
    assert after == f"unset|/nowhere|{outside}"
    if from_where == "a profile" and shell not in ("dash", "mksh", "tcsh"):  # they know only the real place
        assert layer == f"{tmp_path}/x/p"


def test_a_shell_that_cannot_tell_says_so(app: Dependency) -> None:
    text = (app[1] / "bin/activate").read_text().replace("/proc/", "/nowhere/")
    done = subprocess.run(["dash"], input=f"{text}\n", capture_output=True, text=True)
    assert "use bash, zsh or ksh" in done.stderr


def test_a_distributions_script_of_that_name_is_left_out_and_told(tmp_path: Path) -> None:
    """Also below: the activate script of a layer is for this layer."""
    wheel = make_wheel(tmp_path, "mine", "1", {"mine.py": ""}, data={"scripts/activate": "#!/bin/sh\necho mine\n"})
    store = Store(tmp_path)
    low = store.layer("low", [wheel])
    _, top, metadata = store.layer("top", [], [low])
    for layer, name in ((low[1], "low"), (top, "top")):
        text = (layer / "bin/activate").read_text()
        assert "echo mine" not in text and name in text
    assert describe_clashes(low[2].clashes) == ["1 file of mine (low) hidden by low itself: bin/activate"]
    assert metadata.clashes == low[2].clashes


def test_windows_layers_have_batch_files(tmp_path: Path) -> None:
    metadata = LayerMetadata(name="app", kind=Kind.APPLICATION, python=PythonVersion(3, 12, 1), target=Target.WIN_AMD64)
    (tmp_path / "Scripts").mkdir()
    write_activation_scripts(tmp_path, metadata)
    assert {path.name for path in (tmp_path / "Scripts").iterdir()} == {
        "activate", "activate.bat", "activate.fish", "activate.nu", "Activate.ps1", "deactivate.bat",
    }  # fmt: skip
    text = (tmp_path / "Scripts/activate.bat").read_bytes().decode()
    assert "\r\n" in text and "@NAME@" not in text and "\\Scripts;" in text
