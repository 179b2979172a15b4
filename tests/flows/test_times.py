"""Whatever compares times for equality sees that a file of the same size has other content after an upgrade."""

from __future__ import annotations

import asyncio
import shutil
import zipfile
from pathlib import Path

import pytest

from scripts.testing.world import VERSION, World


def upgrade(world: World, name: str, before: str, after: str) -> tuple[Path, Path]:
    """Realise a support module `static` with one file, then with another text; the file in either generation."""
    assert len(before) == len(after)
    spec = world.spec.read_text()
    world.spec.write_text(
        spec.replace('launch_module = "hello.py"', 'launch_module = "hello.py"\nsupport_modules = ["static"]')
    )
    (world.spec.parent / "static").mkdir()
    inside = Path("layers/app-hello/lib", f"python{VERSION}", "site-packages/static", name)
    found = []
    for text in (before, after):
        (world.spec.parent / "static" / name).write_text(text)
        found.append(world.root / "store" / world.realise()["stack"] / inside)
    return found[0], found[1]


def test_a_browser_gets_the_new_file(world: World) -> None:
    """Starlette's entity tag is made of time and size; it must change with the body (RFC 9110, section 8.8)."""
    static = pytest.importorskip("starlette.staticfiles")
    old, new = upgrade(world, "app.js", "let answer = 41;", "let answer = 42;")

    def ask(file: Path, tag: str = "") -> tuple[int, str]:
        scope = {"type": "http", "method": "GET", "headers": [(b"if-none-match", tag.encode())] if tag else []}
        answer = asyncio.run(static.StaticFiles(directory=file.parent).get_response("app.js", scope))
        return answer.status_code, answer.headers["etag"]

    status, tag = ask(old)
    assert status == 200 and ask(old, tag)[0] == 304
    assert ask(new, tag)[0] == 200, "another body, another tag"


def test_a_template_is_loaded_anew(world: World, tmp_path: Path) -> None:
    """Jinja keeps a template until its file's time is another."""
    jinja2 = pytest.importorskip("jinja2")
    old, new = upgrade(world, "page.txt", "41 {{ x }}", "42 {{ x }}")
    current = tmp_path / "current"
    current.symlink_to(old.parent)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(current), auto_reload=True)
    assert environment.get_template("page.txt").render(x="!") == "41 !"
    current.unlink()
    current.symlink_to(new.parent)
    assert environment.get_template("page.txt").render(x="!") == "42 !"


def test_files_and_folders_of_a_layer_go_into_archives(world: World, tmp_path: Path) -> None:
    """ZIP has no times before 1980, which Python refuses for folders too."""
    top = world.root / "store" / world.realise()["stack"] / "layers/app-hello/lib" / f"python{VERSION}/site-packages"
    packages = [top / name for name in ("low", "midlib", "ns")]  # a folder of a lower layer, and a merged one
    with zipfile.ZipFile(tmp_path / "by-hand.zip", "w") as archive:
        for place in (place for package in packages for place in (package, *sorted(package.rglob("*.py")))):
            archive.write(place, place.relative_to(top))
        assert {"low/", "low/__init__.py", "ns/", "ns/app.py", "ns/side.py"} <= set(archive.namelist())
    for kind in ("zip", "gztar"):
        made = shutil.make_archive(str(tmp_path / kind), kind, top, "ns")
        shutil.unpack_archive(made, tmp_path / f"of-{kind}")
        assert {one.name for one in (tmp_path / f"of-{kind}/ns").glob("*.py")} == {"app.py", "side.py"}
