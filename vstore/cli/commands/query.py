"""Questions to the store: `list`, `info`, `tree`, `why-depends`, `log`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.settings import Settings
from vstore.cli.text import size, table, when
from vstore.errors import StoreError, UsageError

if TYPE_CHECKING:
    from vstore.api.stores import ObjectInfo, StorePath


def _document(info: ObjectInfo) -> dict[str, object]:
    return {
        "path": str(info.path),
        "name": info.path.name,
        "kind": str(info.kind),
        "size_bytes": info.size_bytes,
        "files": info.files,
        "registered_at": when(info.registered_at),
        "references": [str(path) for path in info.references],
    }


@command("list")
def list_command(settings: Settings) -> None:
    """Each with its kind, size, number of files and time of registration."""
    with settings.open_store(read_only=True) as store:
        documents = [_document(info) for info in store.objects.all()]

    def text() -> str:
        rows = [{**document, "size": size(int(str(document["size_bytes"])))} for document in documents]
        columns = {"kind": "kind", "size": "size", "files": "files", "registered_at": "registered", "path": "path"}
        return table(rows, columns) if rows else "the store is empty"

    settings.emit(documents, text)


@command("info")
@click.argument("path")
def info_command(settings: Settings, path: str) -> None:
    """PATH is a store path, the unique start of one, or the name of a layer."""
    from vstore.api.realising import clashes_of, describe_clashes

    with settings.open_store(read_only=True) as store:
        found = store.resolve(path)
        info = store.objects.info(found)
        assert info is not None
        document = {
            **_document(info),
            "location": str(store.layout.object(found)),
            "digest": str(info.digest),
            "recipe": str(info.recipe) if info.recipe else None,
            "inputs": [str(one) for one in info.inputs],
            "referrers": [str(referrer) for referrer in store.objects.referrers(found)],
            "closure_size_bytes": sum(_size(store.objects.info(member)) for member in store.objects.closure([found])),
        }
        clashes = clashes_of(store, found)
    shown = {**document, "clashes": describe_clashes(clashes)}
    document["clashes"] = [clash.as_json() for clash in clashes]
    settings.emit(document, lambda: "\n".join(f"{key + ':':20}{_text(value)}" for key, value in shown.items()))


def _size(info: ObjectInfo | None) -> int:
    return info.size_bytes if info else 0


def _text(value: object) -> str:
    return "\n                    ".join(map(str, value)) if isinstance(value, list) else str(value)


@command("tree")
@click.argument("path")
def tree_command(settings: Settings, path: str) -> None:
    """References of references are indented below them."""
    with settings.open_store(read_only=True) as store:
        top = store.resolve(path)
        closure = store.objects.closure([top])
        references = {member: _references(store.objects.info(member)) for member in sorted(closure)}
    document = {str(member): [str(path) for path in paths] for member, paths in references.items()}
    settings.emit({"path": str(top), "references": document}, lambda: "\n".join(_branches(top, references, "", set())))


def _references(info: ObjectInfo | None) -> tuple[StorePath, ...]:
    return info.references if info else ()


def _branches(
    path: StorePath, references: Mapping[StorePath, tuple[StorePath, ...]], indent: str, seen: set[StorePath]
) -> list[str]:
    if path in seen:
        return [f"{indent}{path} (above)"] if references[path] else [f"{indent}{path}"]
    seen.add(path)
    lines = [f"{indent}{path}"]
    for reference in references[path]:
        lines += _branches(reference, references, indent + "  ", seen)
    return lines


@command("why-depends")
@click.argument("path")
@click.argument("dependency")
def why_depends_command(settings: Settings, path: str, dependency: str) -> None:
    """The chain from PATH to DEPENDENCY is the shortest."""
    from vstore.api.stores import dependency_chain

    with settings.open_store(read_only=True) as store:
        top, bottom = store.resolve(path), store.resolve(dependency)
        chain = dependency_chain(store, top, bottom)
    document = {"path": str(top), "dependency": str(bottom), "chain": [str(member) for member in chain]}
    text = "\n".join(f"{'  ' * depth}{member}" for depth, member in enumerate(chain))
    settings.emit(document, lambda: text or f"{top} does not depend on {bottom}")


@command("sql")
@click.argument("query")
def sql_command(settings: Settings, query: str) -> None:
    """Ask the index itself, read-only: tables objects, refs, realisations, parts, generations, …"""
    import sqlite3

    from sqlite_utils import Database

    with settings.open_store(read_only=True) as store:
        connection = sqlite3.connect(f"{store.layout.index_file.as_uri()}?mode=ro", uri=True)
        try:
            rows = [{key: _plain(value) for key, value in row.items()} for row in Database(connection).query(query)]
        except (sqlite3.Error, ValueError) as error:
            store.database.check()
            raise UsageError(f"the index cannot answer that: {error}", hint="docs/store.md has its tables") from error
        finally:
            connection.close()
    settings.emit(rows, lambda: table(rows, {key: key for key in rows[0]} if rows else {}))


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


@command("log")
@click.argument("path")
def log_command(settings: Settings, path: str) -> None:
    """Objects that were built on another machine have no log."""
    from vstore.api.stores import read_log

    with settings.open_store(read_only=True) as store:
        found = store.resolve(path)
        info = store.objects.info(found)
        text = read_log(store, info.recipe) if info and info.recipe else None
    if text is None:
        raise StoreError(f"no build log for {found}", hint="objects made on another machine have none")
    settings.emit({"path": str(found), "log": text}, lambda: text.rstrip())
