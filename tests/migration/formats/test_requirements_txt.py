"""Requirements files: their lines, the files that they name, and pip's options."""

from __future__ import annotations

from pathlib import Path

from vstore.migration import Choice, SourceProject, read_source_project

FILES = {
    "requirements.txt": """\
-r deep/more.txt
-c pins.txt
--extra-index-url https://user:secret@packages.example/simple
-f https://wheels.example/
--pre
flask[async]==3.0 ; python_version >= "3.9" \\
    --hash=sha256:00 --hash=sha256:11
numpy==1.26.4  # the last one
numpy==2.0.0 ; sys_platform == "darwin"
-e ./lib
git+https://github.com/a/tool.git@v1#egg=tool
mine @ https://files.example/mine-1.0-py3-none-any.whl
./sources/thing-2.0.tar.gz
requests=2.0
--no-binary :all:
--use-feature=fast
""",
    "deep/more.txt": "-r ../requirements.txt\ntorch==2.3.0+cu121\n",
    "pins.txt": "werkzeug==3.0.1\njinja2<4\n",
    "lib/pyproject.toml": '[project]\nname = "lib"\ndependencies = ["attrs>=23"]\n',
}


def read(folder: Path) -> SourceProject:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return read_source_project(folder / "requirements.txt", Choice())


def test_each_requirement_and_each_pin_is_kept(tmp_path: Path) -> None:
    project = read(tmp_path)
    assert sorted(project.requirements) == [
        "attrs>=23",
        'flask[async]==3.0; python_version >= "3.9"',
        "mine @ https://files.example/mine-1.0-py3-none-any.whl",
        "numpy==1.26.4",
        'numpy==2.0.0; sys_platform == "darwin"',
        "torch==2.3.0+cu121",
    ]
    assert sorted(map(str, project.pins)) == [
        'flask==3.0 ; python_version >= "3.9"',
        "numpy==1.26.4",
        'numpy==2.0.0 ; sys_platform == "darwin"',
        "torch==2.3.0+cu121",
        "werkzeug==3.0.1",
    ]
    assert project.settings["constraint-dependencies"] == ["jinja2<4"]


def test_indexes_are_carried_over_without_logins(tmp_path: Path) -> None:
    settings = read(tmp_path).settings
    assert settings["index"] == [{"name": "packages-example", "url": "https://packages.example/simple"}]
    assert settings["index-strategy"] == "unsafe-best-match"  # as pip looks for the best version in all
    assert settings["find-links"] == ["https://wheels.example/"] and settings["prerelease"] == "allow"


def test_nothing_is_dropped_in_silence(tmp_path: Path) -> None:
    left = {one.subject: one.reason for one in read(tmp_path).left_out}
    assert (
        "UV_INDEX_PACKAGES_EXAMPLE_USERNAME"
        in left["login of the index packages-example (https://packages.example/simple)"]
    )
    assert "support_modules" in left["-e ./lib"]
    assert "git clone" in left["git+https://github.com/a/tool.git@v1#egg=tool"]
    assert "uv build --wheel" in left["./sources/thing-2.0.tar.gz"]
    assert left["requests=2.0"] == "write `requests==2.0`"
    assert "only wheels" in left["--no-binary :all:"]
    assert {"hashes of files", "--use-feature=fast"} <= set(left)
    assert not any("secret" in f"{subject} {reason}" for subject, reason in left.items())
