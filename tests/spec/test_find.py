"""Finding a spec: the names, how far the search goes, and whose files it takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.spec.specs import PYTHON
from vstore.errors import SpecError, UsageError
from vstore.spec import find_spec, load

PROJECT = """
[project]
name = "mine"

[tool.vstore]
profile = "stack"

[[tool.vstore.runtimes]]
name = "python"
python_implementation = "cpython@3.11.13"
requirements = ["numpy"]
package_indexes = {numpy = "fast"}

[tool.vstore.uv]
index = [{name = "fast", url = "https://fast.example/simple", explicit = true}]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder that is above the current folder, `a/b` in it."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path / "a" / "b")
    return Path(os.path.realpath(tmp_path))


def write(place: Path, text: str = PYTHON) -> Path:
    place.write_text(text)
    return place


@pytest.mark.parametrize("name", ["vstore.toml", "venvstacks.toml", "spec.toml", "pyproject.toml"])
@pytest.mark.parametrize("folder", [".", "a", "a/b"])
def test_a_spec_here_or_above(home: Path, folder: str, name: str) -> None:
    spec = write(home / folder / name, PROJECT if name == "pyproject.toml" else PYTHON)
    assert find_spec() == spec
    assert load(find_spec()).layers


def test_the_nearest_counts(home: Path) -> None:
    write(home / "spec.toml")
    write(home / "a" / "b" / "pyproject.toml", "[project]\nname = 'no spec'\n")
    write(home / "a" / "b" / "other.toml")
    (home / "a" / "b" / "spec.toml").mkdir()
    near = write(home / "a" / "vstore.toml")
    assert find_spec() == near


def test_a_place_is_a_file_or_a_folder_with_one_in_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = write(home / "a" / "spec.toml")
    assert find_spec(Path("../spec.toml")) == spec
    assert find_spec(home / "a") == find_spec(Path("~/a")) == spec
    monkeypatch.chdir(home / "a")
    assert find_spec(Path()) == spec
    with pytest.raises(SpecError, match="no spec in ") as caught:
        find_spec(home / "a" / "b")  # a folder that is named is not left
    assert "vstore.toml" in caught.value.details[0] and "vstore init" in str(caught.value.hint)
    assert find_spec(Path("nothing.toml")) == home / "a" / "nothing.toml"


def test_the_search_ends_at_the_home_folder_and_at_the_checkout(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / "spec.toml")
    monkeypatch.setenv("HOME", str(home / "a"))
    monkeypatch.setenv("USERPROFILE", str(home / "a"))
    with pytest.raises(SpecError, match="or above"):
        find_spec()
    monkeypatch.setenv("HOME", str(home / "elsewhere"))
    monkeypatch.setenv("USERPROFILE", str(home / "elsewhere"))
    assert find_spec() == home / "spec.toml"
    (home / "a" / ".git").mkdir()
    with pytest.raises(SpecError, match="or above"):
        find_spec()
    top = write(home / "a" / "spec.toml")
    assert find_spec() == top


def test_two_kinds_in_one_folder_are_an_error(home: Path) -> None:
    write(home / "a" / "spec.toml")
    write(home / "a" / "pyproject.toml", PROJECT)
    for place in (None, home / "a"):
        with pytest.raises(SpecError, match=r"a has several specs: spec\.toml and pyproject\.toml"):
            find_spec(place)
    write(home / "a" / "pyproject.toml", "[tool.other]\nvstore = 1\n")
    assert find_spec() == home / "a" / "spec.toml"


def test_a_broken_project_file_stops_the_search_only_if_it_may_have_a_spec(home: Path) -> None:
    spec = write(home / "spec.toml")
    write(home / "a" / "pyproject.toml", "not TOML")
    assert find_spec() == spec
    write(home / "a" / "pyproject.toml", "[tool.vstore\n")
    with pytest.raises(SpecError, match=r"pyproject\.toml: not valid TOML at line 1"):
        find_spec()


def test_a_spec_of_another_user_is_not_taken(as_root: None, home: Path) -> None:
    spec = write(home / "a" / "spec.toml")
    os.chown(spec, 54321, -1)
    with pytest.raises(SpecError, match="or above") as caught:
        find_spec()
    assert caught.value.details[1] == f"belongs to another user: {spec}"
    assert find_spec(home / "a") == spec, "a folder that is named is trusted"
    spec.unlink()
    own = write(home / "own.toml")
    os.chown(own, 0, -1)
    spec.symlink_to(own)
    os.chown(spec, 54321, -1, follow_symlinks=False)
    with pytest.raises(SpecError, match="or above"):
        find_spec()
    os.chown(home / "a" / "b", 54321, -1)  # the user works in a folder of theirs
    assert find_spec() == spec


def test_a_current_folder_that_is_gone(home: Path) -> None:
    (home / "a" / "b").rmdir()
    with pytest.raises(UsageError, match="the current folder was removed"):
        find_spec()


def test_a_project_file_has_the_spec_in_its_table(home: Path) -> None:
    spec = load(write(home / "pyproject.toml", PROJECT))
    (runtime,) = spec.layers
    assert (spec.profile, runtime.name, runtime.requirements) == ("stack", "python", ("numpy",))
    assert runtime.package_indexes == {"numpy": "fast"} and "index" in spec.uv
    named_after_its_folder = load(write(home / "a" / "pyproject.toml", PROJECT.replace('profile = "stack"', "")))
    assert named_after_its_folder.profile == "a"


def test_mistakes_in_a_project_file_have_their_key_path(home: Path) -> None:
    text = PROJECT.replace("requirements", "requirement") + "\n[tool.uv]\nindex = []\n"
    with pytest.raises(SpecError) as caught:
        load(write(home / "pyproject.toml", text))
    assert any("tool.vstore.runtimes[0]" in line for line in caught.value.details), caught.value
    text = PROJECT.replace("[tool.vstore.uv]\nindex", "[tool.uv]\nindex").replace("package_indexes", "# ")
    (warning,) = load(write(home / "pyproject.toml", text)).warnings
    assert warning.startswith("tool.uv.index: is for the project alone; [tool.vstore.uv]")
    with pytest.raises(SpecError, match=r"pyproject\.toml has no spec in \[tool\.vstore\]"):
        load(write(home / "pyproject.toml", "[project]\nname = 'x'\n"))
