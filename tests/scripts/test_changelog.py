"""The changelog is made from fragments of one form, and a release moves them into one page."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from scripts.changelog import ROOT, ChangelogError, read_fragments, release, released


def project(folder: Path, **fragments: str) -> Path:
    """Make a project of version 1.0 with fragments by name."""
    unreleased = folder / "changelog" / "unreleased"
    unreleased.mkdir(parents=True)
    for name, text in fragments.items():
        (unreleased / f"{name}.md").write_text(text)
    (folder / "vstore").mkdir()
    (folder / "vstore" / "__init__.py").write_text('__version__ = "1.0"\n')
    (folder / "CHANGELOG.md").write_text("# Changelog\n\nThe head.\n")
    return folder


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "better: a thing\n\nIt was bad. It is good.\n",
            "the kind is 'better', must be one of new, changed, fixed",
        ),
        ("Fixed: a thing\n\nIt was bad. It is good.\n", "the kind is 'Fixed'"),
        ("A thing was bad.\n", "the first line must be `kind: title`"),
        ("", "the first line must be `kind: title`"),
        ("fixed: a thing.\n\nIt was bad.\n", "without a full stop"),
        ("fixed: a thing\nIt was bad.\n", "an empty one, then the text"),
        ("fixed: a thing\n", "an empty one, then the text"),
        ("fixed: a thing\n\nIt was bad.\n\nnew: another\n\nIt is there.\n", "one change in a file"),
    ],
)
def test_a_malformed_fragment_is_refused(tmp_path: Path, text: str, said: str) -> None:
    folder = project(tmp_path, good="new: a door\n\nThere was none. It opens.\n", bad=text) / "changelog" / "unreleased"
    with pytest.raises(ChangelogError, match=r"^bad\.md: ") as error:
        read_fragments(folder)
    assert said in str(error.value)


def test_a_file_of_another_name_is_refused(tmp_path: Path) -> None:
    folder = project(tmp_path, good="new: a door\n\nIt opens.\n") / "changelog" / "unreleased"
    (folder / "My notes.txt").touch()
    with pytest.raises(ChangelogError, match="My notes"):
        read_fragments(folder)


def test_releases_are_gathered_newest_first(tmp_path: Path) -> None:
    root = project(tmp_path, door="fixed: a door\n\nIt stuck.\n\nIt opens.\n", bell="new: `bell`\n\nIt rings.\n")
    release(root, "1.0", date(2030, 1, 2))
    assert list((root / "changelog" / "unreleased").iterdir()) == []
    first = "### New\n\n- **`bell`.**\n\n  It rings.\n\n### Fixed\n\n- **A door.**\n\n  It stuck.\n\n  It opens."
    assert released(root / "CHANGELOG.md", "1.0") == first
    with pytest.raises(ChangelogError, match=r"has a release 1\.0 already"):
        release(root, "1.0", date(2030, 1, 3))

    (root / "vstore" / "__init__.py").write_text('__version__ = "1.1"\n')
    with pytest.raises(ChangelogError, match="no fragments"):
        release(root, "1.1", date(2030, 1, 3))
    (root / "changelog" / "unreleased" / "wall.md").write_text("removed: the wall\n\nIt hid the view. Use a hedge.\n")
    release(root, "1.1", date(2030, 1, 3))
    text = (root / "CHANGELOG.md").read_text()
    assert text.startswith("# Changelog\n\nThe head.\n\n## 1.1 (2030-01-03)\n\n### Removed\n")
    assert text.index("## 1.1 (") < text.index("## 1.0 (2030-01-02)")
    assert released(root / "CHANGELOG.md", "1.0") == first
    with pytest.raises(ChangelogError, match=r"not 2\.0"):
        release(root, "2.0", date(2030, 1, 4))


def test_the_command_says_what_is_wrong_and_fails() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "changelog.py")]
    done = subprocess.run([*command, "check"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run([*command, "show", "0.0.1"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("changelog: CHANGELOG.md has no release 0.0.1")
