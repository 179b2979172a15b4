"""Build the pages of `docs/` as a site of static files: see `scripts/docs --help`.

The pages are plain Markdown that a forge shows too. A copy of them is made for Sphinx: with the pages of the project's
top folder, with the contents of each `index.md` as a tree of pages, and without links to files that are no pages.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "build" / "site"
TOP_PAGES = {
    "README.md": "docs/about.md",
    "CONTRIBUTING.md": "docs/internals/contributing.md",
    "SECURITY.md": "docs/internals/security.md",
    "CHANGELOG.md": "docs/internals/changelog.md",
}
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_ROW = re.compile(r"^\| \[([^\]]*)\]\(([^)#]+)\.md\)", re.MULTILINE)
_LOADED = {("img", "src"), ("script", "src"), ("source", "src"), ("iframe", "src"), ("link", "href")}


def source_address() -> str | None:
    """Return the address below which files of the checkout are shown, None while the project has no public one."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    address = str(urls["Source"])
    return None if str(urlsplit(address).hostname).endswith(".example") else f"{address}/blob/main"


def copy_pages(folder: Path) -> None:
    """Copy the pages, and make their links lead to pages of the site."""
    shutil.copytree(ROOT / "docs", folder / "docs")
    for name, target in TOP_PAGES.items():
        shutil.copyfile(ROOT / name, folder / target)
    origins = {target: name for name, target in TOP_PAGES.items()}
    address = source_address()
    for page in sorted((folder / "docs").rglob("*.md")):
        name = page.relative_to(folder).as_posix()
        text = relink(page.read_text("utf-8"), origins.get(name, name), name, address)
        page.write_text(text + (contents(text) if page.name == "index.md" else ""), "utf-8")


def relink(text: str, origin: str, name: str, address: str | None) -> str:
    """Return the text of the page `origin`, which is `name` on the site, with links that work there.

    Links to files that are no pages lead below `address`. Without one only their text stays.
    """

    def link(found: re.Match[str]) -> str:
        image, shown, target = found.groups()
        place, mark, anchor = target.partition("#")
        if not place or urlsplit(place).scheme:
            return found[0]
        file = os.path.normpath(os.path.join(os.path.dirname(origin), place))
        file = TOP_PAGES.get(file, file)
        if file.startswith("docs/") or not (ROOT / file).exists():  # Sphinx names a page that does not exist
            return f"{image}[{shown}]({os.path.relpath(file, os.path.dirname(name))}{mark}{anchor})"
        return f"[{shown}]({address}/{file})" if address else shown

    return outside_code(text, lambda part: _LINK.sub(link, part))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return a page whose text outside of blocks of code is changed."""
    parts = re.split(r"(^ *```.*?^ *```)", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if number % 2 else change(part) for number, part in enumerate(parts))


def contents(text: str) -> str:
    """Return the trees of pages that the tables of an index page list, one for each heading."""
    trees = []
    for section in re.split(r"^#+ ", text, flags=re.MULTILINE)[1:]:
        caption, _, rest = section.partition("\n")
        if pages := [f"{title} <{page}>" for title, page in _ROW.findall(rest)]:
            trees.append("\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""]))
    return "".join(trees)


class _Page(HTMLParser):
    """The ids of a page, its links, and the addresses that a browser loads with it."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what one element names."""
        for key, value in attrs:
            if key == "id" and value:
                self.ids.add(value)
            elif (tag, key) in _LOADED and value:
                self.loaded.append(value)
            elif (tag, key) == ("a", "href") and value:
                self.links.append(value)


def mistakes(site: Path) -> list[str]:
    """Return the links and anchors of a built site that lead nowhere, and what a browser would fetch elsewhere."""
    pages = {}
    for file in sorted(site.rglob("*.html")):
        pages[file] = _Page()
        pages[file].feed(file.read_text("utf-8"))
    found = []
    for file, page in pages.items():
        name = file.relative_to(site)
        found += [f"{name} loads {url}" for url in page.loaded if urlsplit(url).netloc]
        for link in (*page.links, *page.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == "#":
                continue
            target = Path(os.path.normpath(file.parent / unquote(parts.path))) if parts.path else file
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in pages[target].ids):
                found.append(f"{name} links to {link}, which does not exist")
    styles = (
        style
        for style in site.rglob("*.css")
        if re.search(r"(url\(|@import)[\s\"']*(https?:)?//", style.read_text("utf-8"))
    )
    return found + [f"{style.relative_to(site)} loads files from another server" for style in styles]


def build(output: Path) -> int:
    """Build the site into a new or earlier folder of a site; return the exit code."""
    from sphinx.cmd.build import main as sphinx

    with tempfile.TemporaryDirectory() as temporary:
        pages, site = Path(temporary, "pages"), Path(temporary, "site")
        copy_pages(pages)
        options = ["-q", "-W", "--keep-going", "-b", "html", "-d", str(Path(temporary, "read"))]
        if code := sphinx([*options, str(pages / "docs"), str(site)]):
            return code
        if wrong := mistakes(site):
            print(*wrong, sep="\n", file=sys.stderr)
            return 1
        for name in (".buildinfo", "objects.inv"):
            (site / name).unlink(missing_ok=True)
        if output.exists():
            shutil.rmtree(output)
        shutil.copytree(site, output)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/docs", description="Build the documentation as static files.")
    parser.add_argument("output", nargs="?", type=Path, default=OUTPUT, help="folder to write (default: build/site)")
    output: Path = parser.parse_args(arguments).output.absolute()
    if output.exists() and not (output / "searchindex.js").is_file() and any(output.iterdir()):
        print(f"docs: not a site: {output}\n  hint: give a folder that does not exist", file=sys.stderr)
        return 1
    code = build(output)
    if code == 0:
        print(f"built {output / 'index.html'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
