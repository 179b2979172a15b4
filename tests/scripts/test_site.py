"""The site of the docs: links that work there, and the mistakes that a build finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import docs


def test_links_lead_to_pages_of_the_site() -> None:
    text = (
        "[a](spec.md#x) [b](../README.md) [c](../CONTRIBUTING.md#style) [`d`](../vstore/errors.py) "
        "[e](https://host/x) [f](#here) ![g](pictures/x.svg) [h](nothing.md)\n```\n[i](../vstore)\n```\n"
    )
    assert docs.relink(text, "docs/cli.md", "docs/cli.md", None) == (
        "[a](spec.md#x) [b](about.md) [c](internals/contributing.md#style) `d` "
        "[e](https://host/x) [f](#here) ![g](pictures/x.svg) [h](nothing.md)\n```\n[i](../vstore)\n```\n"
    )
    moved = docs.relink("[a](docs/cli.md) [b](SECURITY.md)", "CONTRIBUTING.md", "docs/internals/contributing.md", None)
    assert moved == "[a](../cli.md) [b](security.md)"


def test_files_are_links_once_the_project_has_an_address() -> None:
    page = docs.relink("[a](../vstore/errors.py)", "docs/x.md", "docs/x.md", "https://host/blob/main")
    assert page == "[a](https://host/blob/main/vstore/errors.py)"


def test_the_tables_of_an_index_are_the_tree_of_the_site() -> None:
    text = "# Top\n\n[x](x.md)\n## One\n\n| page | |\n|---|---|\n| [A](a.md) | [z](z.md) |\n| [B](b/c.md) | |\n## Two\n"
    assert docs.contents(text) == "\n```{toctree}\n:hidden:\n:caption: One\n\nA <a>\nB <b/c>\n```\n"


def test_mistakes_of_a_built_site_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="here"></p><a href="#here"></a><a href="b.html#there"></a><a href="https://host/"></a><img src="c.svg">'
    )
    (tmp_path / "b.html").write_text('<p id="there"></p>')
    (tmp_path / "c.svg").touch()
    (tmp_path / "style.css").write_text("p { background: url(c.svg) }")
    assert docs.mistakes(tmp_path) == []
    (tmp_path / "b.html").write_text('<script src="https://host/x.js"></script><a href="d.html"></a>')
    (tmp_path / "style.css").write_text("@import 'https://host/font.css';")
    assert docs.mistakes(tmp_path) == [
        "a.html links to b.html#there, which does not exist",
        "b.html loads https://host/x.js",
        "b.html links to d.html, which does not exist",
        "style.css loads files from another server",
    ]


def test_a_folder_that_is_no_site_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").touch()
    assert docs.main([str(tmp_path)]) == 1
    assert "not a site" in capsys.readouterr().err
    assert (tmp_path / "mine").exists()
