"""Requirements that are no PEP 508, and logins in URLs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.spec.cases import runtime
from tests.spec.specs import PYTHON, application, framework, mistakes, write
from vstore.credentials import has_credentials, redact, without_login
from vstore.errors import SpecError
from vstore.spec import load
from vstore.target import Target


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("-e ./lib", "an editable requirement is not possible", "uv build --wheel -o wheels ./lib`"),
        ("-e lib", "an editable requirement is not possible", "uv build --wheel -o wheels lib`"),
        ("--editable=../lib", "an editable requirement", "uv build --wheel -o wheels ../lib`"),
        ("./lib", "a place with source code", "uv build --wheel -o wheels ./lib`"),
        ("../some dir/lib", "a place with source code", "uv build --wheel -o wheels ../some dir/lib`"),
        (".", "a place with source code", "uv build --wheel -o wheels .`"),
        ("/srv/lib", "a place with source code", "uv build --wheel -o wheels /srv/lib`"),
        ("packages/lib", "a place with source code", "uv build --wheel -o wheels packages/lib`"),
        ("file:///srv/lib", "a place with source code", "uv build --wheel -o wheels /srv/lib`"),
        ("dist/lib-1.0.tar.gz", "a place with source code", "uv build --wheel -o wheels dist/lib-1.0.tar.gz`"),
        ("lib-1.0.zip", "a place with source code", "uv build --wheel -o wheels lib-1.0.zip`"),
        (
            "https://example.org/lib-1.0.tar.gz",
            "a place with source code",
            "download https://example.org/lib-1.0.tar.gz",
        ),
        ("git+https://example.org/lib", "a place with source code", "check https://example.org/lib out"),
        ("./dist/lib-1.0-py3-none-any.whl", "a wheel without its name", "NAME @ URL"),
        ("-r requirements.txt", "an option, not a requirement", "[tool.uv]"),
        ("--index-url https://example.org", "an option, not a requirement", "[tool.uv]"),
        ("lib >> 1", "invalid requirement syntax", ""),
        ("lib==1.0; python_version", "invalid requirement syntax", ""),
    ],
)
def test_requirements_that_people_write_get_the_way_to_have_them(
    tmp_path: Path, text: str, said: str, hint: str
) -> None:
    first, *rest = mistakes(tmp_path, runtime(f"requirements = {json.dumps([text])}"))
    assert first.startswith(f"runtimes[0].requirements[0]: {said}")
    assert hint in " ".join(rest)
    assert (hint == "") or "uv build" not in hint or "--local-wheels wheels" in " ".join(rest)


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
    assert redact(text) == "failed to fetch `https://***@a.org/x` and https://b.org/y?token=***&z=1"
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
    assert {layer.env_name: [str(one) for one in spec.required(layer)] for layer in spec.layers} == required
    assert spec.layers[0].targets == tuple(Target) or named.get("python")


def test_the_error_is_a_specs(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        load(write(tmp_path, runtime('requirements = ["./lib"]')))
