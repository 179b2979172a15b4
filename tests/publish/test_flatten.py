"""The files of a layer without links, decided from manifests alone."""

from __future__ import annotations

import pytest

from vstore.errors import StoreError
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.objects import StorePath
from vstore.publish.flatten import FlatTree, flatten

TOP = StorePath.parse("0" * 32 + "-app")
LOW = StorePath.parse("1" * 32 + "-low")
PYTHON = StorePath.parse("2" * 32 + "-cpython")


def tree(*paths: str) -> Manifest:
    """``a/`` is a folder, ``a -> b`` a link, ``a*`` executable, anything else a file; parents are made."""
    entries = {}
    for text in paths:
        path, arrow, target = text.partition(" -> ")
        parts = path.rstrip("/*").split("/")
        for count in range(1, len(parts)):
            folder = "/".join(parts[:count]).encode()
            entries[folder] = Entry(folder, EntryKind.DIRECTORY)
        name = path.rstrip("/*").encode()
        if arrow:
            entries[name] = Entry(name, EntryKind.SYMLINK, target=target.encode())
        elif path.endswith("/"):
            entries[name] = Entry(name, EntryKind.DIRECTORY)
        else:
            entries[name] = Entry(name, EntryKind.FILE, path.endswith("*"), len(name), bytes(32))
    return Manifest(tuple(sorted(entries.values())))


def flat(top: Manifest, low: Manifest | None = None, python: Manifest | None = None) -> FlatTree:
    found = {TOP: top, LOW: low or tree(), PYTHON: python or tree()}
    return flatten(TOP, PYTHON if python else None, found.__getitem__)


def files(found: FlatTree) -> dict[str, str]:
    return {path.decode(): f"{one.object.name}:{one.path.decode()}" for path, one in found.files.items()}


def test_links_inside_and_to_other_objects_become_what_they_lead_to() -> None:
    top = tree(
        "lib/own.py", f"lib/pkg -> ../../{LOW}/lib/pkg", "lib/alias.py -> own.py", "deep/er/x -> ../../lib/own.py"
    )
    found = flat(top, tree("lib/pkg/__init__.py", "lib/pkg/sub/a.so*", "lib/pkg/b.so -> sub/a.so"))
    assert files(found) == {
        "deep/er/x": "app:lib/own.py",
        "lib/alias.py": "app:lib/own.py",
        "lib/own.py": "app:lib/own.py",
        "lib/pkg/__init__.py": "low:lib/pkg/__init__.py",
        "lib/pkg/b.so": "low:lib/pkg/sub/a.so",
        "lib/pkg/sub/a.so": "low:lib/pkg/sub/a.so",
    }
    assert found.files[b"lib/pkg/b.so"].executable and not found.files[b"lib/own.py"].executable
    assert found.folders == (b"deep", b"deep/er", b"lib", b"lib/pkg", b"lib/pkg/sub")


def test_a_link_below_a_linked_folder_and_a_link_to_a_whole_object() -> None:
    low = tree("real/x.py", "alias -> real")
    assert files(flat(tree(f"a -> ../{LOW}/alias", f"b -> ../{LOW}"), low)) == {
        "a/x.py": "low:real/x.py",
        "b/alias/x.py": "low:real/x.py",
        "b/real/x.py": "low:real/x.py",
    }


def test_the_interpreter_is_merged_in_and_the_layer_wins() -> None:
    top = tree(
        "pyvenv.cfg",
        "bin/python*",
        f"libexec/python -> ../../{PYTHON}/bin/python",
        f"libexec/lib -> ../../{PYTHON}/lib",
        "lib/python/site-packages/a.py",
    )
    python = tree(
        "bin/python*", "libexec -> bin", "lib/python/os.py", "lib/python/site-packages/pip/x.py", "lib/libpython.so"
    )
    assert files(flat(top, None, python)) == {
        "bin/python": "app:bin/python",
        "lib/libpython.so": "cpython:lib/libpython.so",
        "lib/python/os.py": "cpython:lib/python/os.py",
        "lib/python/site-packages/a.py": "app:lib/python/site-packages/a.py",
        "libexec/python": "cpython:bin/python",
    }


def test_a_link_that_leads_nowhere_is_left_out_and_named() -> None:
    found = flat(tree("a -> nothing", f"b -> ../{LOW}/nothing", "c -> d", "d -> c", "e"))
    assert files(found) == {"e": "app:e"}
    assert found.dangling == (b"a", b"b", b"c", b"d")


def test_a_folder_that_is_linked_into_itself_is_refused() -> None:
    with pytest.raises(StoreError, match="leads to a folder that it is in"):
        flat(tree("a/b", "a/again -> ."))


def test_a_file_and_a_folder_of_one_name() -> None:
    found = flat(tree("x/y", "z"), None, tree("x", "z/w"))
    assert files(found) == {"x/y": "app:x/y", "z": "app:z"}
