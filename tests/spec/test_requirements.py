"""Requirements that are no PEP 508, and logins in URLs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.spec.cases import runtime
from tests.spec.specs import PYTHON, application, framework, mistakes, write
from vstore.credentials import has_credentials, redact, without_login
from vstore.errors import SpecError
from vstore.spec import load
from vstore.spec.requirement_hints import wheel_hint
from vstore.target import Target

VERSION = ".".join(map(str, sys.version_info[:3]))

BUILD = "run `uv build --wheel -o wheels "
SOURCE = "source code, and only wheels are used: "
EDITABLE = "editable requirements are not supported, as layers are read-only: "
OPTION = "an option, not a requirement: "
BEHIND = "an option behind a requirement: "
FILE = "a file, not a requirement: "
NAMELESS = "a wheel without its name: "
SYNTAX = "invalid requirement syntax: "
HABITS = [
    ("-e ./lib", EDITABLE, f"{BUILD}./lib`"),
    ("-e lib", EDITABLE, f"{BUILD}lib`"),
    ("-e .", EDITABLE, f"{BUILD}.`"),
    ("-e .[dev]", EDITABLE, f"{BUILD}.`, require it by its name (`NAME[dev]`)"),
    ("-e git+https://example.org/x.git#egg=x", EDITABLE, "git clone https://example.org/x.git x &&"),
    ("--editable=../lib", EDITABLE, f"{BUILD}../lib`"),
    ("./lib", SOURCE, f"{BUILD}./lib`"),
    (".", SOURCE, f"{BUILD}.`"),
    (".[dev]", SOURCE, f"{BUILD}.`, require it by its name (`NAME[dev]`)"),
    ("../some dir/lib", SOURCE, f"{BUILD}'../some dir/lib'`"),
    ("../lib[extra]", SOURCE, f"{BUILD}../lib`, require it by its name (`NAME[extra]`)"),
    ("../lib [a, b]", SOURCE, f"{BUILD}../lib`, require it by its name (`NAME[a, b]`)"),
    ("lib/[extra]", SOURCE, f"{BUILD}lib/`, require it by its name (`NAME[extra]`)"),
    ("./lib ; python_version > '3'", SOURCE, f"{BUILD}./lib`, require it by its name (`NAME ; python_version > '3'`)"),
    ("./lib  # ours", SOURCE, f"{BUILD}./lib`"),
    ("/srv/lib", SOURCE, f"{BUILD}/srv/lib`"),
    ("~/src/my lib", SOURCE, f"{BUILD}~/'src/my lib'`"),
    ("$HOME/lib", SOURCE, f"{BUILD}$HOME/lib`"),
    ("C:\\src\\lib", SOURCE, f"{BUILD}'C:\\src\\lib'`"),
    ("packages/lib", SOURCE, f"{BUILD}packages/lib`"),
    ("file:///srv/my%20lib", SOURCE, f"{BUILD}'/srv/my lib'`"),
    ("file://localhost/srv/lib", SOURCE, f"{BUILD}/srv/lib`"),
    ("file:lib", SOURCE, f"{BUILD}lib`"),
    ("dist/lib-1.0.tar.gz", SOURCE, f"{BUILD}dist/lib-1.0.tar.gz`, require it by its name (`lib`)"),
    ("lib.tar.gz", SOURCE, f"{BUILD}lib.tar.gz`"),
    ("lib-1.0.zip", SOURCE, f"{BUILD}lib-1.0.zip`"),
    ("https://example.org/lib-1.0.tar.gz", SOURCE, "curl -fL -o lib-1.0.tar.gz https://example.org/lib-1.0.tar.gz &&"),
    ("https://example.org/org/x", SOURCE, "`git clone https://example.org/org/x x && uv build --wheel -o wheels x`"),
    ("git+https://example.org/x", SOURCE, "`git clone https://example.org/x x && uv build --wheel -o wheels x`"),
    ("git+https://example.org/x.git@v1", SOURCE, "x.git x && git -C x checkout v1 && uv build --wheel -o wheels x`"),
    ("git+https://example.org/x#egg=y&subdirectory=a/b", SOURCE, "-o wheels x/a/b`, require it by its name (`y`)"),
    ("git+ssh://git@example.org/org/x.git", SOURCE, "`git clone ssh://git@example.org/org/x.git x &&"),
    ("git@example.org:org/x.git", SOURCE, "`git clone git@example.org:org/x.git x &&"),
    ("hg+https://example.org/x", SOURCE, "`hg clone https://example.org/x x &&"),
    (
        "./dist/lib-1.0-py3-none-any.whl",
        NAMELESS,
        "name (`lib`), and run `vstore lock --local-wheels ./dist stack.toml`",
    ),
    ("lib-1.0-py3-none-any.whl", NAMELESS, "(`lib`), and run `vstore lock --local-wheels . stack.toml`"),
    (
        "file:///srv/lib-1.0-py3-none-any.whl ; python_version > '3'",
        NAMELESS,
        "(`lib ; python_version > '3'`), and run",
    ),
    ("https://example.org/a_b-1.0-py3-none-any.whl", NAMELESS, "`a_b @ https://example.org/a_b-1.0-py3-none-any.whl`"),
    ("-r requirements.txt", FILE, "write the lines of requirements.txt as `requirements`"),
    ("-rbase.txt", FILE, "write the lines of base.txt as `requirements`"),
    ("--requirement=base.txt", FILE, "write the lines of base.txt as `requirements`"),
    ("requirements/base.txt", FILE, "write the lines of requirements/base.txt as `requirements`"),
    ("-c constraints.txt", OPTION, "`constraint-dependencies = [...]` in [tool.uv]"),
    (
        "--index-url https://example.org",
        OPTION,
        '`index = [{ url = "https://example.org", default = true }]` in [tool.uv]',
    ),
    ("--extra-index-url=https://example.org", OPTION, '`index = [{ url = "https://example.org" }]` in [tool.uv]'),
    ("-f wheels", OPTION, '`find-links = ["wheels"]` in [tool.uv]'),
    ("--no-index", OPTION, "run `vstore lock --no-index stack.toml`"),
    ("--pre", OPTION, '`prerelease = "allow"` in [tool.uv]'),
    ("--trusted-host example.org", OPTION, '`allow-insecure-host = ["example.org"]` in [tool.uv]'),
    ("--only-binary :all:", OPTION, "only wheels are used"),
    ("--use-pep517", OPTION, "[tool.uv]"),
    ("lib==1.0 --hash=sha256:00", BEHIND, "write `lib==1.0`, and leave it out, as a lock has the hash of each wheel"),
    ("lib[a] --index-url https://example.org", BEHIND, "write `lib[a]`, and write `index = ["),
    ("-U lib", OPTION, "run `vstore lock --upgrade stack.toml`"),
    ("ssh://git@example.org/x.git", SOURCE, "`git clone ssh://git@example.org/x.git x &&"),
    ("github.com/org/x", SOURCE, "`git clone https://github.com/org/x x &&"),
    ("lib==1.0 \\", SYNTAX, "a lock has the hash of each wheel"),
    ("lib<2  # not yet", SYNTAX, "outside of the quotes"),
    ("# libraries", "a comment, not a requirement: ", "outside of the quotes"),
    (" ", "an empty requirement", "remove it"),
    ("lib=1.0", SYNTAX, "write `lib==1.0`"),
    ("lib 1.0", SYNTAX, "write `lib==1.0`"),
    ("lib=>1.0", SYNTAX, "write `lib>=1.0`"),
    ("lib; python_version < 3.12", SYNTAX, "write `lib ; python_version < '3.12'`"),
    (
        "lib>=1; sys_platform==linux and python_version>3.11",
        SYNTAX,
        "sys_platform== 'linux' and python_version> '3.11'`",
    ),
    ("lib ; os_name == 'nt' && python_version > '3'", SYNTAX, "write `lib ; os_name == 'nt' and python_version > '3'`"),
    ("lib;", SYNTAX, "write `lib`"),
    ("lib ~=2", SYNTAX, "write `lib ~=2.0`"),
    ("lib@1.0", "@ is for a URL: ", "write `lib==1.0`"),
    ("lib@latest", "@ is for a URL: ", "`vstore lock --upgrade-package lib stack.toml`"),
    ('lib = "^1.2"', SYNTAX, "write `lib>=1.2,<2`"),
    ("lib^0.3.1", SYNTAX, "write `lib>=0.3.1,<0.4`"),
    ("lib, other", SYNTAX, 'write `requirements = ["lib", "other"]`'),
    ("pip install lib", SYNTAX, 'write `requirements = ["lib"]`'),
    ("python>=3.11", "Python is not a package: ", "`python_implementation"),
    ("lib >> 1", SYNTAX, "a requirement is NAME, NAME==1.0"),
    ("lib==1.0; python_version", SYNTAX, "a requirement is NAME, NAME==1.0"),
]


@pytest.mark.parametrize(("text", "said", "hint"), HABITS)
def test_requirements_that_people_write_get_the_way_to_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str, hint: str
) -> None:
    spec = write(tmp_path, runtime(f"requirements = {json.dumps([text])}"))
    monkeypatch.chdir(spec.parent)
    error = refused(spec)
    assert error.message.startswith(f"stack.toml: runtimes[0].requirements[0]: {said}")
    assert error.message.endswith('(in "python")')
    assert hint in (error.hint or "")
    assert "uv build" not in hint or "and run `vstore lock --local-wheels wheels stack.toml`" in (error.hint or "")
    assert len(error.details) == (2 if said == SYNTAX else 0)  # the text with a mark below it


@pytest.mark.parametrize(
    "text",
    [
        "lib[a,b]>=1,<2 ; python_version > '3'",
        "lib @ https://example.org/lib-1.0-py3-none-any.whl",
        "lib @ https://example.org/lib-1.0-py3-none-any.whl#sha256=00 ; sys_platform == 'linux'",
        "discord.py",
        "python-dateutil>=2",
        "zip-files",
        "git",
    ],
)
def test_a_requirement_is_none_of_them(tmp_path: Path, text: str) -> None:
    assert load(write(tmp_path, runtime(f"requirements = {json.dumps([text])}"))).layers[0].requirements == (text,)


def test_each_of_several_mistakes_has_its_hint(tmp_path: Path) -> None:
    spec = write(tmp_path, runtime('requirements = ["./lib", "lib", "lib=1.0"]'))
    error = refused(spec)
    assert error.message.endswith("/stack.toml: 2 mistakes")
    assert [line for line in error.details if line.startswith("  hint: ")] == [
        f"  hint: {wheel_hint('./lib', str(spec))}",
        "  hint: write `lib==1.0`",
    ]


BACKEND = """
import zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(f"{folder}/lib-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("lib.py", "")
        wheel.writestr("lib-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: lib\\nVersion: 1.0\\n")
        wheel.writestr("lib-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("lib-1.0.dist-info/RECORD", "")
    return "lib-1.0-py3-none-any.whl"
"""


@pytest.mark.parametrize(
    "form", ["./my lib", "my-lib.tar.gz", "file:{folder}/my%20lib", "git+file://{folder}/there/.git@v1"]
)
@pytest.mark.slow
def test_the_commands_of_a_hint_run_as_printed(tmp_path: Path, form: str) -> None:
    """In a folder with the source in all forms; the last command locks the package by its name."""
    project = write(tmp_path, "").parent
    source = project / "my lib"
    source.mkdir()
    (source / "backend.py").write_text(BACKEND)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    shutil.make_archive(str(project / "my-lib"), "gztar", project, "my lib")
    run(project, "cp -r 'my lib' there && cd there && git init -q && git add . && git commit -qm 1 && git tag v1")
    text = runtime(f"requirements = {json.dumps([form.format(folder=project)])}") + "[tool.uv]\nno-index = true\n"
    text = text.replace("3.11", VERSION).replace("requirements", 'platforms = ["linux_x86_64"]\nrequirements')
    spec = write(tmp_path, text, "vstore.toml")
    commands = [part for part in (refused(spec).hint or "").split("`")[1::2] if part.split()[0] != "NAME"]
    spec.write_text(spec.read_text().replace(json.dumps(form.format(folder=project)), '"lib"'))
    run(project, " && ".join(commands))
    assert "lib-1.0-py3-none-any.whl" in (project / "requirements/python/pylock.python.toml").read_text()


def run(folder: Path, command: str) -> None:
    """Run a shell command where the vstore and the uv of these tests are found."""
    own = {"VSTORE_ROOT": str(folder / "root"), "GIT_CONFIG_GLOBAL": str(folder / "gitconfig")}
    (folder / "gitconfig").write_text("[user]\nname = me\nemail = me@example.org\n")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-ec", command], cwd=folder, env={**os.environ, **own, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def refused(spec: Path) -> SpecError:
    with pytest.raises(SpecError) as caught:
        load(spec)
    return caught.value


LOGINS = [
    "https://user:hunter2@example.org/x",
    "https://hunter2@example.org/x",
    "https://hunter2:@example.org/x",
    "https://example.org/x?token=hunter2",
    "https://example.org/x?a=1&access_token=hunter2",
    "https://example.org/x?X-Amz-Signature=hunter2&b=2",
    "https://example.org/x?sv=1&sig=hunter2",
    "git+https://user:hunter2@example.org/x",
]


@pytest.mark.parametrize("url", LOGINS)
@pytest.mark.parametrize("form", ["requirement", "bare", "index", "find-links", "side file"])
def test_a_login_in_the_spec_is_refused_and_not_repeated(tmp_path: Path, url: str, form: str) -> None:
    spec = {
        "requirement": runtime(f'requirements = ["lib @ {url}"]'),
        "bare": runtime(f'requirements = ["-e {url}"]'),
        "index": f'{PYTHON}[[tool.uv.index]]\nname = "own"\nurl = "{url}"\n',
        "find-links": f'{PYTHON}[tool.uv]\nfind-links = ["{url}"]\n',
        "side file": PYTHON,
    }[form]
    if form == "side file":
        (tmp_path / "project").mkdir()
        (tmp_path / "project" / "venvstacks.uv.toml").write_text(f'[pip]\nextra-index-url = ["{url}"]\n')
    text = "\n".join(mistakes(tmp_path, spec))
    assert "holds a login" in text
    assert "UV_INDEX_<NAME>_PASSWORD" in text and "netrc" in text and "keyring" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/simple/@scope/x",
        "https://example.org/x-1.0-py3-none-any.whl#sha256=00",
        "https://example.org/x?name=token",
        "git+ssh://git@example.org/x",
        "file:///home/me@work/x",
    ],
)
def test_a_url_without_a_login_is_left_alone(url: str) -> None:
    assert not has_credentials(url)
    assert redact(url) == without_login(url) == url


def test_logins_in_a_text_are_hidden() -> None:
    text = "failed to fetch `https://me:pw@a.org/x` and https://b.org/y?token=pw&z=1"
    assert redact(text) == "failed to fetch `https://***@a.org/x` and https://b.org/y?token=***&z=***"
    assert without_login("https://me:pw@a.org/x") == "https://a.org/x"


def test_the_lowest_systems_are_inherited(tmp_path: Path) -> None:
    text = (
        PYTHON.replace("requirements", 'linux_target = "glibc@2.34"\nmacosx_target = "14"\nrequirements')
        + framework("plain", 'runtime = "python"')
        + framework("newer", 'runtime = "python"', 'linux_target = "glibc@2.38"', 'macosx_target = "15.1"')
        + framework("both", 'frameworks = ["plain", "newer"]')
        + framework("own", 'frameworks = ["newer"]', 'linux_target = "glibc"')
    )
    spec = load(write(tmp_path, text), environment={"MACOSX_DEPLOYMENT_TARGET": "16.0"})
    systems = {layer.env_name: (layer.glibc, layer.macos) for layer in spec.layers}
    assert systems == {
        "python": ((2, 34), (14, 0)),
        "framework-plain": ((2, 34), (14, 0)),
        "framework-newer": ((2, 38), (15, 1)),
        "framework-both": ((2, 38), (15, 1)),
        "framework-own": ((2, 28), (15, 1)),
    }
    assert spec.layer("framework-plain").linux_target is None  # which venvstacks hashes as declared


@pytest.mark.parametrize(
    ("named", "required"),
    [
        ({}, {"python": [], "framework-f": [], "app-a": []}),
        ({"python": "win_amd64"}, {"python": ["win_amd64"], "framework-f": ["win_amd64"], "app-a": ["win_amd64"]}),
        (
            {"framework-f": "win_amd64"},
            {"python": ["win_amd64"], "framework-f": ["win_amd64"], "app-a": ["win_amd64"]},
        ),
        ({"app-a": "win_amd64"}, {"python": ["win_amd64"], "framework-f": ["win_amd64"], "app-a": ["win_amd64"]}),
    ],
)
def test_named_platforms_are_required_below_and_above(
    tmp_path: Path, named: dict[str, str], required: dict[str, list[str]]
) -> None:
    lines = {name: f'platforms = ["{target}"]' for name, target in named.items()}
    (tmp_path / "main.py").write_text("")
    text = (
        PYTHON.replace("requirements", lines.get("python", "") + "\nrequirements")
        + framework("f", 'runtime = "python"', lines.get("framework-f", ""))
        + application("a", 'frameworks = ["f"]', 'launch_module = "main.py"', lines.get("app-a", ""))
    )
    spec = load(write(tmp_path, text))
    assert {layer.env_name: [str(one) for one in spec.required_targets(layer)] for layer in spec.layers} == required
    assert spec.layers[0].targets == tuple(Target) or named.get("python")


def test_the_error_is_a_specs(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        load(write(tmp_path, runtime('requirements = ["./lib"]')))
