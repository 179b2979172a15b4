"""What the documentation says of commands, exit codes, links and files is so."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import get_args, is_typeddict

import click
import pytest

from scripts import config_reference, picture, tutorial
from scripts.changelog import read_fragments
from scripts.cli_reference import MARK, PAGE, commands, reference
from vstore import errors
from vstore.cli.app import cli
from vstore.cli.commands import COMMANDS
from vstore.cli.documents import DOCUMENTS
from vstore.cli.documents.publishing import OutputDocument
from vstore.cli.examples import EXAMPLES
from vstore.config import read_config
from vstore.config.reader import parse_config
from vstore.remote.transport.schemes import TRANSPORTS
from vstore.spec import load
from vstore.store import Store

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *(page for folder in (".github", "changelog", "docs") for page in (ROOT / folder).rglob("*.md")),
    }
)
FOLDERS = (r"\.ci", r"\.github", "changelog", "docs", "examples", "scripts", "tests", "vstore")


def test_the_reference_is_fresh() -> None:
    assert PAGE.read_text("utf-8").partition(MARK)[2] == reference(), "run scripts/cli_reference.py"


def test_the_table_of_settings_is_fresh() -> None:
    page = config_reference.PAGE.read_text("utf-8")
    assert page.partition(config_reference.MARK)[2] == config_reference.reference(), "run scripts/config_reference.py"
    [example] = re.findall(r"```toml\n(require.*?)```", page, re.DOTALL)
    assert parse_config(config_reference.PAGE, example.encode()).gc.keep == 3


def test_the_picture_of_the_readme_is_of_the_tutorial() -> None:
    steps = picture.chosen(tutorial.page_steps(tutorial.PAGE.read_text("utf-8")))
    assert len(steps) >= 8
    drawn = picture.draw(steps)
    assert picture.PICTURE.read_text("utf-8") == drawn, "run python -m scripts.picture"
    assert "@font-face" not in drawn and drawn.count("http") == 1  # the name of SVG


def test_the_help_of_a_command_says_its_summary_once() -> None:
    for name, command, _ in commands():
        if name in COMMANDS:
            summary, _, rest = (command.help or "").partition("\n\n")
            assert summary == COMMANDS[name][1], name
            assert not rest.startswith(summary.rstrip(".")), f"{name}: its docstring repeats the summary of COMMANDS"


def test_every_place_of_a_cache_and_every_output_is_documented() -> None:
    caches, publish = ((ROOT / "docs" / name).read_text("utf-8") for name in ("cache.md", "publish.md"))
    rows = "\n".join(re.findall(r"^\| .*", caches, re.MULTILINE))
    assert [scheme for scheme in TRANSPORTS if f"`{scheme}://" not in rows] == []
    outputs = [name for name, kind in DOCUMENTS.items() if any(map(_is_output, (kind, *get_args(kind))))]
    assert {"publish", "export", "pack"} <= set(outputs)
    assert [name for name in outputs if f"| `{name}` |" not in publish] == []


def _is_output(kind: object) -> bool:
    return is_typeddict(kind) and set(OutputDocument.__annotations__) <= set(vars(kind)["__annotations__"])


def test_what_contributing_says_is_in_a_file_is_there() -> None:
    """Each "`NAME`, `OTHER` in `path`"; a file without a folder is one of those that the sentence before names."""
    text = re.sub(r"\s+", " ", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    claims = wrong_claims(text)
    assert claims == []
    assert wrong_claims("`nobody` in `vstore/errors.py`, and `VstoreError` in `vstore/errors.py`") == [
        ("nobody", "vstore/errors.py")
    ]


def wrong_claims(text: str) -> list[tuple[str, str]]:
    """Return the names and files of "`NAME` in `path`" where the file does not have the name."""
    files = {file for file in re.findall(r"`([\w./-]+\.(?:py|md))`", text) if (ROOT / file).is_file()}
    wrong = []
    for names, file in re.findall(r"((?:`\w+`(?:, | and | or )?)+) (?:in|of) `([\w./-]+\.py)`", text):
        found = [one for one in files if one == file] or sorted(ROOT.glob(f"vstore/**/{file}"))
        content = "".join((ROOT / one).read_text("utf-8") for one in found)
        wrong += [(name, file) for name in re.findall(r"\w+", names) if not re.search(rf"\b{name}\b", content)]
    return wrong


def test_every_command_has_examples() -> None:
    missing = {name for name, _, _ in commands()} - set(EXAMPLES)
    assert not missing, f"add examples of {missing} to vstore/cli/examples.py"


def test_every_exit_code_is_documented() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.VstoreError)]
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE)}
    assert {kind.exit_code for kind in kinds} <= listed


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings as GitHub names them: lower case, hyphens, `-1` when repeated."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    names = Counter[str]()
    found = set()
    for heading in re.findall(r"^#+ (.+?) *$", text, re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading).lower()).replace(" ", "-")
        found.add(f"{name}-{names[name]}" if names[name] else name)
        names[name] += 1
    return found


def broken_links(page: Path) -> list[str]:
    """Return the links of a page to pages, files and anchors of this project that do not exist."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        if "://" not in link and (not target.exists() or (anchor and anchor not in anchors(target))):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_files_and_commands_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    assert broken_links(page) == []
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    for command in re.findall(r"(?:`|^\$ ?|^\./scripts/)vstore ([a-z][a-z-]*)", text, re.MULTILINE):
        assert command in COMMANDS, command


def page_commands(page: Path) -> list[str]:
    """Return the commands of vstore in the blocks of a page, each in one line and without its comment."""
    found = []
    for block in re.findall(r"^ *```[a-z]*\n(.*?)^ *```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE):
        start = r"\$ " if re.search(r"^\$ ", block, re.MULTILINE) else r" *(?:- (?:run: )?|RUN .* )?"
        lines = block.replace("\\\n", " ").splitlines()
        found += [match[1] for line in lines if (match := re.match(rf"{start}(?:\./scripts/)?vstore (.*)", line))]
    return found


def unknown_options(arguments: list[str]) -> str | None:
    """Return what click says of a command of the docs, None if its names and options exist."""
    command: click.Command = cli
    context = click.Context(cli, info_name="vstore")
    try:
        while isinstance(command, click.Group):
            _, arguments, _ = command.make_parser(context).parse_args(arguments)
            if not arguments:
                return None
            _, inner, arguments = command.resolve_command(context, arguments)
            assert inner is not None
            command, context = inner, click.Context(inner, info_name=inner.name, parent=context)
        command.make_context(command.name, arguments, parent=context.parent)
    except (click.NoSuchOption, click.exceptions.NoSuchCommand) as error:
        return error.format_message()
    except click.UsageError:  # a word such as SIZE stands for a value
        pass
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_commands_of_a_page_exist_with_their_options(page: Path) -> None:
    wrong = {}
    for line in page_commands(page):
        split = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        split.whitespace_split = True
        words = [*split]
        ends = [number for number, word in enumerate(words) if re.fullmatch(r"[|&;<>]+", word)]
        if problem := unknown_options(words[: ends[0]] if ends else words):
            wrong[line] = problem
    assert wrong == {}


def test_an_unknown_command_or_option_is_noticed() -> None:
    assert unknown_options(["gc", "--keep", "1"]) is None and unknown_options(["cache", "ls", "x"]) is None
    for arguments in (["gc", "--kep", "1"], ["cache", "lsx"], ["--x", "gc"]):
        assert unknown_options(arguments)


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# The `first` one: done\n```\n# No heading\n```\n## Twice\n## Twice\n")
    right = "[a](other.md) [b](other.md#the-first-one-done) [c](other.md#twice-1) [d](#here) [e](https://host/x#y)"
    wrong = "[a](another.md) [b](other.md#no-heading) [c](other.md#twice-2) [d](#there)"
    (tmp_path / "page.md").write_text(f"# Here\n{right}\n{wrong}\n")
    assert broken_links(tmp_path / "page.md") == ["another.md", "other.md#no-heading", "other.md#twice-2", "#there"]


def test_what_security_promises_is_shown_by_tests() -> None:
    named = re.findall(r"`(tests/[^`]+)`", (ROOT / "SECURITY.md").read_text("utf-8"))
    assert len(named) > 10 and [name for name in named if not (ROOT / name).is_file()] == []


def test_the_fragments_of_the_changelog_are_well_formed() -> None:
    assert read_fragments(ROOT / "changelog" / "unreleased")


def test_every_decision_is_listed() -> None:
    index = (ROOT / "docs" / "internals" / "decisions" / "index.md").read_text("utf-8")
    records = sorted((ROOT / "docs" / "internals" / "decisions").glob("0*.md"))
    assert records
    for record in records:
        number = int(record.name[:4])
        title = record.read_text("utf-8").splitlines()[0]
        assert title.startswith(f"# {number}. ")
        assert f"[{number}]({record.name}) | {title.partition('. ')[2]} |" in index


def test_the_example_and_the_spec_in_the_docs_load(tmp_path: Path) -> None:
    assert load(ROOT / "examples" / "sklearn" / "spec.toml").profile == "sklearn"
    spec, project = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "spec.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "train.py").touch()
    (tmp_path / "spec.toml").write_text(spec)
    (tmp_path / "pyproject.toml").write_text(project)
    names = ["python", "framework-sklearn", "app-train"]
    assert [layer.env_name for layer in load(tmp_path / "spec.toml").layers] == names
    assert [layer.env_name for layer in load(tmp_path / "pyproject.toml").layers] == ["python", "app-train"]


def test_the_settings_in_the_pages_are_read(tmp_path: Path) -> None:
    blocks = [
        block
        for page in PAGES
        for block in re.findall(r"^```(?:toml)?\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        if re.search(r"^(\[gc\]|\[caches|trusted_keys)", block, re.MULTILINE) and "…" not in block
    ]
    assert len(blocks) >= 3
    for number, block in enumerate(blocks):
        file = tmp_path / f"{number}.toml"
        file.write_text(block)
        read_config(file)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd (Debian's package) is not installed")
def test_systemd_takes_the_units_in_the_docs(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("vstore"))
    text = (ROOT / "docs" / "gc.md").read_text("utf-8").replace("/usr/local/bin/vstore", program)
    units = dict(re.findall(r"```ini\n# (\S+)\n(.*?)```", text, re.DOTALL))
    assert sorted(units) == ["vstore-gc.service", "vstore-gc.timer"]
    for name, unit in units.items():
        (tmp_path / name).write_text(unit)
    done = subprocess.run(["systemd-analyze", "verify", *units], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = re.findall(r"^17 3 \* \* \*  \S+ (.*)$", text, re.MULTILINE)
    Store.open(tmp_path / "store").close()
    assert subprocess.run([program, "--root", tmp_path / "store", *line.split()]).returncode == 0


def test_the_package_needs_what_it_imports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {re.split(r"[^a-z0-9._-]", text.lower())[0].replace("-", "_") for text in project["dependencies"]}
    text = "\n".join(file.read_text("utf-8") for file in (ROOT / "vstore").rglob("*.py"))
    imported = set(re.findall(r"^\s*(?:from|import) ([a-z_][a-z0-9_]*)", text, re.MULTILINE))
    for name in ("blake3", "click", "packaging", "platformdirs", "rich", "tomli_w", "uv"):
        assert name in imported, f"{name} is not imported any more"
        assert name in names, f"{name} is not declared"
