"""The rules of .gitignore files are git's: compared with git itself over made-up patterns and paths."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.spec.checkouts import git
from vstore.spec.files.gitignore import Rule, read_rules, verdict

_TOKENS = [
    "a", "b", "ab", "*", "**", "/", "/", "**/", "/**", "?", "[a-b]", "[!a]", "[^b]", "[]a]", "[[:alpha:]]", "[a", "\\",
    "\\*", "\\ ", " ", "!", "#", ".", "\\!", "\\#", "-", "[a\\]b]", "[b-a]", "[[:x:]]", "[[:]", "[:a:]", "\\/", "a.b",
    "\r", "[--0]", "[a-", "***", "é", "\0",
]  # fmt: skip
_NAMES = ["a", "b", "ab", "aab", "abb", "c", "a b", "a.b", "[a", "!a", "#a", "a ", " ", "\\", "*", "-", "é", "ab.b"]


def ignored(rules: tuple[Rule, ...], path: str) -> bool | None:
    """The verdict on a path, unless a folder above it is ignored."""
    parts = os.fsencode(path).split(b"/")
    found = None
    for depth in range(1, len(parts) + 1):
        found = verdict(rules, parts[:depth], is_folder=depth < len(parts))
        if found:
            return found
    return found


@pytest.mark.skipif(shutil.which("git") is None, reason="git is needed to compare with")
@pytest.mark.parametrize("seed", range(4))
def test_patterns_mean_what_they_mean_to_git(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    git(tmp_path, "init", "-q")
    for _ in range(40):
        lines = ["".join(chance.choices(_TOKENS, k=chance.randint(1, 6))) for _ in range(chance.randint(1, 3))]
        data = "\n".join(lines).encode() + chance.choice([b"", b"\n"])
        (tmp_path / ".gitignore").write_bytes(data)
        paths = sorted({"/".join(chance.choices(_NAMES, k=chance.randint(1, 4))) for _ in range(60)})
        command = ["git", "-C", str(tmp_path), "check-ignore", "--no-index", "-z", "-v", "-n", "--stdin"]
        asked = subprocess.run(command, input="\0".join(paths).encode(), capture_output=True, check=False)
        answers = asked.stdout.split(b"\0")
        theirs = {
            os.fsdecode(path): None if not source else not pattern.startswith(b"!")
            for source, pattern, path in zip(answers[::4], answers[2::4], answers[3::4], strict=False)
        }
        rules = read_rules(data)
        assert {path: ignored(rules, path) for path in paths} == theirs, lines


@pytest.mark.parametrize(
    ("line", "matched", "not_matched"),
    [
        ("foo**/bar", ["foobar", "foo/bar", "foox/y/bar"], ["fo/bar", "foo/bar2"]),
        ("a/foo**", ["a/foo", "a/foo2/b"], ["a/fo"]),
        ("d/**", ["d/a", "d/a/b"], ["d"]),
        ("**/d/*.py", ["d/a.py", "x/y/d/a.py"], ["d/x/a.py"]),
        ("[[:upper:]]*", ["Ab", "x/B"], ["ab"]),
        ("name\\ ", ["name "], ["name"]),
        ("name  ", ["name"], ["name "]),
    ],
)
def test_single_patterns(line: str, matched: list[str], not_matched: list[str]) -> None:
    rules = read_rules(line.encode())
    assert [path for path in (*matched, *not_matched) if ignored(rules, path)] == matched


def test_comments_blank_lines_and_a_mark_at_the_start() -> None:
    assert [ignored(read_rules(b"\xef\xbb\xbfa\r\n# b\n\n!a\n"), name) for name in ("a", "# b", "b")] == [
        False,
        None,
        None,
    ]
