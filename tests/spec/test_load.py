from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from tests.spec.specs import INDEXES, PYTHON, application, framework, layer, loaded, make_checkout, write
from vstore.objects import Kind, StorePath
from vstore.spec import Spec, load
from vstore.target import Target

WHOLE = (
    """
[[runtimes]]
name = "cpython@3.12"
python_implementation = "cpython@3.12"
requirements = ["numpy>=2; sys_platform == 'linux'", "dlt @ https://x.example/dlt-1-py3-none-any.whl"]
versioned = true
platforms = ["win_amd64", "linux_x86_64", "linux_aarch64", "linux_x86_64"]
linux_target = "glibc@2.35"
macosx_target = "14"
dynlib_exclude = ["triton/**"]
package_indexes = {Torch_Vision = "fast"}
priority_indexes = ["slow.er", "fast"]
"""
    + framework("A", 'runtime = "cpython@3.12"', 'package_indexes = {torch = "fast"}')
    + framework("B", 'frameworks = ["A"]', 'platforms = ["linux_aarch64", "linux_x86_64"]')
    + framework("C", 'frameworks = ["A"]')
    + framework("D", 'frameworks = ["B", "C"]')
    + framework("E", 'frameworks = ["B"]')
    + framework("F@1", 'frameworks = ["E"]')
    + application(
        "A",
        'frameworks = ["D", "F@1"]',
        'launch_module = "./package"',
        'support_modules = ["help.py", "../beside.py"]',
        'package_indexes = {TORCH = "slow.er"}',
        'index_overrides = {fast = "slow.er"}',
    )
    + application("off", 'runtime = "cpython@3.12"', "platforms = []")
    + INDEXES
)


@pytest.fixture
def whole(tmp_path: Path) -> Spec:
    make_checkout(tmp_path)
    return loaded(tmp_path, WHOLE)


def test_every_field(whole: Spec) -> None:
    python = whole.layer("cpython@3.12")
    assert python.kind == Kind.RUNTIME
    assert python.python_implementation == "cpython@3.12"
    assert python.requirements[0] == "numpy>=2; sys_platform == 'linux'"
    assert python.versioned
    assert python.targets == (Target.WIN_AMD64, Target.LINUX_X86_64, Target.LINUX_AARCH64)
    assert (python.linux_target, python.glibc, python.macosx_target) == ("glibc@2.35", (2, 35), "14")
    assert python.dynlib_exclude == ("triton/**",)
    assert python.package_indexes == {"torch-vision": "fast"}
    assert python.priority_indexes == ("slow.er", "fast")
    assert python.runtime is python
    application = whole.layer("app-A")
    assert application.launch_module == PurePosixPath("package")
    assert application.support_modules == (PurePosixPath("../beside.py"), PurePosixPath("help.py"))
    assert [str(module) for module in application.modules] == ["package", "../beside.py", "help.py"]
    assert application.index_overrides == {"fast": "slow.er"}
    assert not application.versioned
    assert (application.glibc, application.priority_indexes) == ((2, 35), ())


def test_layers_are_in_file_order_and_named_by_kind(whole: Spec) -> None:
    names = [layer.env_name for layer in whole.layers]
    assert names[0] == "cpython@3.12"
    assert names[1:7] == ["framework-A", "framework-B", "framework-C", "framework-D", "framework-E", "framework-F@1"]
    assert names[7:] == ["app-A", "app-off"]
    for position, name in enumerate(names):
        assert set(whole.layer(name).dependency_names) <= set(names[:position])
        assert StorePath("0" * 32, name).name == name


def test_lower_is_the_import_order_with_the_runtime_last(whole: Spec) -> None:
    lower = [layer.name for layer in whole.layer("app-A").dependencies]
    assert lower == ["D", "F@1", "E", "B", "C", "A", "cpython@3.12"]
    assert whole.layer("cpython@3.12").dependencies == ()
    assert [layer.name for layer in whole.layer("app-off").dependencies] == ["cpython@3.12"]
    assert whole.layer("app-A").runtime.name == "cpython@3.12"
    assert whole.layer("app-A").frameworks == ("D", "F@1")


def test_an_unknown_layer_is_a_key_error(whole: Spec) -> None:
    with pytest.raises(KeyError, match="framework-Z"):
        whole.layer("framework-Z")


def test_targets_are_inherited_as_the_intersection(whole: Spec) -> None:
    assert whole.layer("framework-A").targets == (Target.LINUX_X86_64, Target.LINUX_AARCH64, Target.WIN_AMD64)
    assert whole.layer("framework-B").targets == (Target.LINUX_AARCH64, Target.LINUX_X86_64)
    assert whole.layer("app-A").targets == (Target.LINUX_X86_64, Target.LINUX_AARCH64)
    assert whole.layer("app-off").targets == ()


def test_a_runtime_has_all_targets_unless_told(tmp_path: Path) -> None:
    assert loaded(tmp_path, PYTHON).layer("python").targets == tuple(Target)


def test_package_indexes_are_inherited_normalised(whole: Spec) -> None:
    assert whole.layer("framework-F@1").package_indexes == {"torch-vision": "fast", "torch": "fast"}
    assert whole.layer("app-A").package_indexes == {"torch-vision": "fast", "torch": "slow.er"}


def test_an_override_settles_frameworks_that_disagree(tmp_path: Path) -> None:
    text = (
        PYTHON
        + framework("f", 'runtime = "python"', 'package_indexes = {x = "fast"}')
        + framework("s", 'runtime = "python"', 'package_indexes = {x = "slow.er"}')
        + application("a", 'frameworks = ["s", "f"]', 'index_overrides = {fast = "slow.er"}')
    )
    assert loaded(tmp_path, text + INDEXES).layer("app-a").package_indexes == {"x": "slow.er"}


def test_an_empty_spec_is_an_empty_stack(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").layers == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            layer("runtimes", "r", 'fully_versioned_name = "cpython@3.11.1"'),
            "runtimes[0].fully_versioned_name: obsolete",
        ),
        (PYTHON + "build_requirements = []", "runtimes[0].build_requirements: obsolete"),
        (PYTHON + framework("f", 'runtime = "python"', "build_requirements = 3"), "frameworks[0].build_requirements"),
        (PYTHON.replace("3.11.13", "3.11.13-x86_64"), 'runtimes[0].python_implementation: "-x86_64" is ignored'),
        ("[[application]]\n", 'application: unknown and ignored, did you mean "applications"?'),
        (PYTHON + 'index_overrides = {a = "fast"}\n' + INDEXES, 'index_overrides: unknown package index "a"'),
    ],
)
def test_what_is_odd_is_a_warning(tmp_path: Path, text: str, said: str) -> None:
    (warning,) = loaded(tmp_path, text).warnings
    assert said in warning


def test_the_old_name_of_an_interpreter_is_read(tmp_path: Path) -> None:
    text = layer("runtimes", "r", 'fully_versioned_name = "pypy@3.10.14"')
    assert loaded(tmp_path, text).layer("r").python_implementation == "pypy@3.10.14"


def test_a_package_that_cannot_start_is_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path, PYTHON + application("a", 'runtime = "python"', 'launch_module = "package"'))
    assert load(path).warnings == ()
    (path.parent / "package" / "__main__.py").unlink()
    assert "no __main__.py" in load(path).warnings[0]


def test_a_link_inside_the_folder_is_fine(tmp_path: Path) -> None:
    path = write(tmp_path, PYTHON + application("a", 'runtime = "python"', 'launch_module = "link.py"'))
    (path.parent / "link.py").symlink_to("main.py")
    assert load(path).layer("app-a").launch_module == PurePosixPath("link.py")


@pytest.mark.parametrize(
    ("name", "text", "profile"),
    [
        ("web.toml", "", "web"),
        ("spec.toml", "", "project"),
        ("vstore.toml", "", "project"),
        ("venvstacks.toml", "", "project"),
        ("web.toml", '[tool.vstore]\nprofile = "other@1"', "other@1"),
        ("my spec é.toml", "", "my-spec-"),
        ("-.toml", "", "stack"),
    ],
)
def test_the_profile(tmp_path: Path, name: str, text: str, profile: str) -> None:
    spec = loaded(tmp_path, text, name)
    assert spec.profile == profile
    assert StorePath("0" * 32, f"{spec.profile}-stack")


def test_the_uv_table_is_inline_or_beside_never_both(tmp_path: Path) -> None:
    path = write(tmp_path, PYTHON)
    alone = load(path)
    (path.parent / "venvstacks.uv.toml").write_text('exclude-newer = "2025-01-01"\n[[index]]\nname = "x"\nurl = "u"\n')
    beside = load(path)
    assert beside.uv["exclude-newer"] == "2025-01-01"
    assert alone.uv == {}
    assert alone.digest != beside.digest
    path.write_text(PYTHON + "[tool.uv]\n")
    assert load(path).uv == {}


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    one = loaded(tmp_path / "one", PYTHON)
    assert loaded(tmp_path / "two", PYTHON, "other.toml").digest == one.digest
    assert loaded(tmp_path / "two", PYTHON + "\n").digest != one.digest


def test_the_path_is_absolute(tmp_path: Path) -> None:
    path = write(tmp_path, PYTHON)
    assert load(Path(os.path.relpath(path))).path == path


def test_requirements_are_looked_at_only_when_asked(tmp_path: Path) -> None:
    path = write(tmp_path, PYTHON.replace("[]", '["name<>"]'))
    program = (
        "import sys; from pathlib import Path; from vstore.spec import load\n"
        f"print(load(Path({str(path)!r}), check_requirements=False).layers[0].requirements)\n"
        "print('packaging' in sys.modules, 'difflib' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.split("\n")[:2] == ["('name<>',)", "False False"], done.stderr


def test_the_host_is_one_of_the_targets() -> None:
    assert Target.host() in set(Target)
    assert Target.host().startswith({"linux": "linux_", "darwin": "macosx_", "win32": "win_"}[sys.platform])
