from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from scripts.testing.advisories import advisory, fixed_in, write_database
from scripts.testing.browser import accessibility_findings, take_picture
from scripts.testing.world import World
from vstore.sizes import size


class Page(HTMLParser):
    """A page as its elements, the cells of its tables by their captions, and its ids and links to them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.addresses: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._open: list[str] = []
        self._caption = ""
        self._rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            elif name == "href" and (value or "").startswith("#"):
                self.targets.append((value or "")[1:])
            elif name in ("href", "src", "xlink:href", "action", "srcset"):
                self.addresses.append(value or "")
        self._open.append(tag)
        if tag == "table":
            self._caption, self._rows = "", []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass
        if tag == "table":
            self.tables[self._caption] = self._rows[1:]

    def handle_data(self, data: str) -> None:
        if "caption" in self._open:
            self._caption += data
        elif self._rows and self._rows[-1] and {"td", "th"} & set(self._open):
            self._rows[-1][-1] += data


@pytest.fixture(scope="module")
def world(realised: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with two generations, a dead object, and a page about it."""
    world = realised.copy(tmp_path_factory.mktemp("report") / "world")
    world.write_spec("==2.0")
    world.realise()
    world.run("forget", "project", "1")
    return world


@pytest.fixture(scope="module")
def file(world: World) -> Path:
    place = world.folder / "store.html"
    world.run("report", "-o", str(place))
    return place


def test_the_numbers_are_those_of_the_commands(world: World, file: Path) -> None:
    page = Page(file.read_text("utf-8"))
    objects = {row[0]: int(row[-1]) for row in page.tables["Objects and their packages"]}
    listed = {one["path"]: one["size_bytes"] for one in world.json("list")}
    assert listed.items() <= objects.items()
    kinds = {row[0]: (int(row[1]), int(row[3])) for row in page.tables["Size by kind"]}
    for kind in {one["kind"] for one in world.json("list")}:
        of_kind = [one["size_bytes"] for one in world.json("list", "--kind", kind)]
        assert kinds[kind] == (len(of_kind), sum(of_kind))
    plan = world.json("gc", "--dry-run")
    assert f"({plan['freed_bytes']} bytes)" in re.sub(r"\s+", " ", file.read_text("utf-8"))
    told = {row[0]: int(row[2]) for row in page.tables["Objects that a collection would delete"]}
    assert told == {one["path"]: one["size_bytes"] for one in plan["reasons"]}
    assert told, "the forgotten generation leaves dead objects"
    stays = page.tables["Why the rest stays"]
    assert sum(int(row[1]) for row in stays) == len(listed) - len(told)
    roots = {row[0]: (row[5], int(row[6])) for row in page.tables["All roots"]}
    for root in world.json("roots")["roots"]:
        if root["kind"] == "profile":
            assert roots[root["name"]] == (size(root["exclusive_bytes"]), root["exclusive_bytes"])
    packages = [row[0] for row in page.tables["Objects and their packages"]]
    assert {"low", "midlib", "modules", "other"} <= set(packages)


def test_each_generation_says_what_it_added(world: World, file: Path) -> None:
    (row,) = Page(file.read_text("utf-8")).tables["Generations and what each added to the one before"]
    assert row[:3] == ["project", "2", "current"] and "framework-mid" in row[-1]


def test_it_loads_nothing_runs_nothing_and_all_links_lead_somewhere(file: Path) -> None:
    page = Page(file.read_text("utf-8"))
    assert not {"script", "iframe", "object", "embed", "form", "img"} & page.tags
    assert page.addresses == ["data:,"]
    assert len(page.ids) == len(set(page.ids)) and set(page.targets) <= set(page.ids)
    assert "url(" not in file.read_text("utf-8") and "@import" not in file.read_text("utf-8")


def test_a_name_of_a_profile_cannot_bring_markup(world: World, tmp_path: Path) -> None:
    copy = world.copy(tmp_path / "world")
    (copy.root / "config.toml").write_text("[caches]\n'<b>x' = 'https://user:secret@cache.example/<i>'\n")
    copy.run("report", "-o", str(tmp_path / "page.html"))
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "&lt;b&gt;x" in text and "<b>x" not in text and "<i>" not in text and "secret" not in text


def test_an_earlier_page_is_replaced_and_nothing_else(world: World, file: Path, tmp_path: Path) -> None:
    world.run("report", "-o", str(file))
    other = tmp_path / "mine.html"
    other.write_text("<html>mine</html>")
    text = world.run("report", "-o", str(other), code=2)[1]
    assert "that vstore did not make" in text and other.read_text() == "<html>mine</html>"


@pytest.mark.slow
@pytest.mark.parametrize("width", [380, 800, 1400])
def test_a_browser_shows_it_without_a_message(file: Path, tmp_path: Path, width: int) -> None:
    picture = tmp_path / "page.png"
    assert take_picture(file, picture, width=width, height=1200) == []
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG") and int.from_bytes(data[16:20], "big") == width and len(data) > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_accessible(file: Path, tmp_path: Path, dark: bool) -> None:
    assert accessibility_findings(file, tmp_path / "copy.html", dark=dark) == []


@pytest.mark.slow
def test_the_checker_of_accessibility_finds_something(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!DOCTYPE html><html><body><img src='data:,'></body></html>")
    assert any(text.startswith("image-alt") for text in accessibility_findings(page, tmp_path / "copy.html"))


def test_known_vulnerabilities_of_what_is_live_are_findings(world: World, tmp_path: Path) -> None:
    copy = world.copy(tmp_path / "world")
    write_database(tmp_path / "db", advisory("VST-9", "midlib", *fixed_in("2.1")), advisory("VST-8", "other"))
    copy.run("config", "set", "audit.database", str(tmp_path / "db"))
    copy.run("report", "-o", str(tmp_path / "page.html"))
    rows = Page((tmp_path / "page.html").read_text("utf-8")).tables["Findings of doctor and audit"]
    (found,) = [row for row in rows if row[0] == "audit"]
    assert found[1] == "error" and "midlib 2.0 has VST-9" in found[2] and "reached by project (" in found[2]
    copy.run("config", "set", "audit.database", str(tmp_path / "nowhere"))
    copy.run("report", "-o", str(tmp_path / "page.html"))
    rows = Page((tmp_path / "page.html").read_text("utf-8")).tables["Findings of doctor and audit"]
    assert [row[1] for row in rows if row[0] == "audit"] == ["warning"]
