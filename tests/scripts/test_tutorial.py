"""The tutorial: its commands run in an empty home and print what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import tutorial


def test_a_page_is_written_as_it_was_read() -> None:
    block = "$ cat <<END\n> one\n>\n> two\n> END\none\n\ntwo\n$ true\n$ false\nno\n"
    done = list(tutorial.steps(block))
    assert [step.command for step in done] == ["cat <<END\none\n\ntwo\nEND", "true", "false"]
    assert [step.output for step in done] == ["one\n\ntwo\n", "", "no\n"]
    assert tutorial.shown(done) == block


def test_numbers_and_digests_may_differ_but_not_words() -> None:
    page = "```console\n$ vstore list\n{}-app  {} KiB  3.13.0\nsecond\n```\n"
    one, other = page.format("a" * 32, "9.7"), page.format("0" * 32, "12").replace("KiB", "B")
    assert tutorial.comparable(one) == tutorial.comparable(other) == ["$ vstore list", "*-app 0 B 0", "second"]
    assert tutorial.comparable(one) != tutorial.comparable(one.replace("second", "third"))


def test_a_command_that_fails_ends_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ name=world\n$ echo hello $name\n$ echo why >&2; (exit 3)\n```\n")
    (tmp_path / "home").mkdir()
    with pytest.raises(RuntimeError, match=r"(?s)exit 3.*ended with 3.*why"):
        tutorial.run_page(page, tmp_path / "home")
    page.write_text("```console\n$ name=world\n$ echo hello $name\n```\n")
    (tmp_path / "other").mkdir()
    assert tutorial.run_page(page, tmp_path / "other")[0].endswith("$ echo hello $name\nhello world\n```\n")


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.usefixtures("whole_pythons")
@pytest.mark.parametrize("page", ["tutorial.md", "audit.md", "cluster.md"])
def test_what_a_page_shows_is_true(page: str) -> None:
    assert tutorial.main([str(tutorial.PAGE.with_name(page))]) == 0
