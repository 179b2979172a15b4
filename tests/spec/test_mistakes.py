"""Mistakes: one line each, all together, and nothing for what only follows from another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.cases import CASES, ON_PYTHON, runtime
from tests.spec.specs import PYTHON, application, framework, mistakes, write
from vstore.errors import SpecError
from vstore.spec import check_requirement_syntax, load


@pytest.mark.parametrize("case", CASES)
def test_one_mistake(tmp_path: Path, case: str) -> None:
    text, said = CASES[case]
    lines = mistakes(tmp_path, text)
    assert said in lines[0]
    assert len(lines) == 1 or "requirement syntax" in lines[0], lines


def test_the_caret_of_a_requirement_is_shown(tmp_path: Path) -> None:
    lines = mistakes(tmp_path, runtime('requirements = ["name<>"]'))
    assert lines[1].strip() == "name<>"
    assert lines[2].strip().endswith("^")


def test_a_mistake_names_its_layer(tmp_path: Path) -> None:
    assert mistakes(tmp_path, runtime("zzz = 1"))[0].endswith('(in "python")')


def test_all_mistakes_are_told_together_in_file_order(tmp_path: Path) -> None:
    text = (
        PYTHON.replace("[]", '["name<>"]')
        + framework("f", 'runtime = "snake"', "versioned = 1")
        + application("a", 'frameworks = ["f", "zzz"]', 'launch_module = "gone.py"', 'platforms = ["dos"]')
        + "\n[tool.vstore]\nprofile = 3\n"
    )
    found = [line.split(":")[0] for line in mistakes(tmp_path, text) if not line.startswith(" ")]
    assert found == [
        "runtimes[0].requirements[0]",
        "frameworks[0].runtime",
        "frameworks[0].versioned",
        "applications[0].frameworks[1]",
        "applications[0].launch_module",
        "applications[0].platforms[0]",
        "tool.vstore.profile",
    ]


def test_requirements_that_are_checked_later_have_the_same_mistakes(tmp_path: Path) -> None:
    text = (
        runtime('requirements = ["name<>", "./lib"]')
        + framework("f", ON_PYTHON)
        + framework("g", ON_PYTHON, 'requirements = ["lib", "lib=1.0"]')
        + application("a", 'frameworks = ["g"]', 'requirements = ["https://user:secret@example.org/x"]')
    )
    at_once = mistakes(tmp_path, text)
    spec = load(tmp_path / "project" / "stack.toml", check_requirements=False)
    with pytest.raises(SpecError) as caught:
        check_requirement_syntax(spec)
    assert caught.value.message.endswith("/stack.toml: 4 mistakes")
    assert list(caught.value.details) == at_once


def test_one_faulty_layer_does_not_accuse_those_above_it(tmp_path: Path) -> None:
    text = (
        framework("low", ON_PYTHON)
        + framework("mid", 'frameworks = ["low"]')
        + application("a", 'frameworks = ["mid"]')
    )
    assert len(mistakes(tmp_path, text)) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'[[runtimes]]\nname = "python\n', "at line 2, column 15"),
        (b"a = 1\na = 2\n", "at line 2, column 6"),
        (b"a = [1,\n 2", "at line 2, column 3 (the end)"),
        (b"ok = 1\nname = \xff\n", "at line 2, column 8: not UTF-8"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"a = " + b"9" * 5000, "not valid TOML"),
        (b"#" * (5 * 2**20), "larger than the limit"),
    ],
)
def test_no_toml(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "stack.toml"
    path.write_bytes(data)
    with pytest.raises(SpecError) as caught:
        load(path)
    assert said in caught.value.message
    assert "stack.toml" in caught.value.message


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such spec") as caught:
        load(tmp_path / "stack.toml")
    assert "vstore init" in (caught.value.hint or "")
    with pytest.raises(SpecError, match="cannot be read"):
        load(tmp_path)


def test_a_module_that_leaves_the_folder_through_a_link(tmp_path: Path) -> None:
    links = {"out.py": "../beside.py", "way": "..", "broken.py": "nowhere.py", "loop.py": "loop.py"}
    path = write(
        tmp_path,
        PYTHON
        + "".join(
            application(f"a{number}", ON_PYTHON, f'launch_module = "{module}"')
            for number, module in enumerate(["out.py", "way/beside.py", "broken.py", "loop.py"])
        ),
    )
    for name, target in links.items():
        (path.parent / name).symlink_to(target)
    with pytest.raises(SpecError) as caught:
        load(path)
    said = ["leads out of the spec's folder", "leads out of the spec's folder", "is a broken link", "is a broken link"]
    assert len(caught.value.details) == 4
    for number, (line, words) in enumerate(zip(caught.value.details, said, strict=True)):
        assert line.startswith(f"applications[{number}].launch_module: ")
        assert words in line


def test_a_mistake_in_the_side_file(tmp_path: Path) -> None:
    path = write(tmp_path, PYTHON)
    (path.parent / "venvstacks.uv.toml").write_text("[sources]\nx = 1\n")
    with pytest.raises(SpecError, match=r"venvstacks\.uv\.toml\.sources\.x: must be an index config"):
        load(path)
    (path.parent / "venvstacks.uv.toml").write_text('[tool.uv]\nexclude-newer = "2025-01-01"\n')
    with pytest.raises(SpecError, match=r"venvstacks\.uv\.toml: has a table \[tool\]") as caught:
        load(path)
    assert caught.value.hint == "write the settings in it without [tool.uv]"
    (path.parent / "venvstacks.uv.toml").write_text("[")
    with pytest.raises(SpecError, match=r"venvstacks\.uv\.toml: not valid TOML"):
        load(path)


def test_the_spec_is_named_as_it_would_be_typed_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "stack.toml").write_text("[")
    for folder, name in ((tmp_path, "project/stack.toml"), (tmp_path / "project", "stack.toml")):
        monkeypatch.chdir(folder)
        with pytest.raises(SpecError) as caught:
            load(Path(name))
        assert caught.value.message.startswith(f"{name}: not valid TOML")
