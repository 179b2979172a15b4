"""Questions to the store: `list`, `info`, `tree`, `why-depends`, `sql`, `log`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.listing import Order, object_filter, sort_options
from vstore.cli.settings import Settings
from vstore.cli.text import table, when
from vstore.errors import NotFoundError
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.api.layers import Build
    from vstore.api.listings import ObjectFilter
    from vstore.api.stores import ObjectInfo, StorePath
    from vstore.cli.documents.stores import (
        BuildDocument,
        ChainDocument,
        InfoDocument,
        LogDocument,
        ObjectDocument,
        TreeDocument,
    )


def _document(info: ObjectInfo, used_on: date) -> ObjectDocument:
    return {
        "path": str(info.path),
        "name": info.path.name,
        "kind": str(info.kind),
        "size_bytes": info.size_bytes,
        "files": info.files,
        "registered_at": when(info.registered_at),
        "used_on": used_on.isoformat(),
        "references": [str(path) for path in info.references],
    }


_COLUMNS = {"kind": "kind", "size": "size_bytes", "files": "files", "registered": "registered_at", "used": "used_on"}


@command("list")
@object_filter
@sort_options({**_COLUMNS, "name": "name", "path": "path"})
def list_command(settings: Settings, wanted: ObjectFilter, order: Order) -> None:
    """Each object is shown with its kind, its size, its number of files, the time when it was added, and the day of its
    last use. NAME is a name with shell-style wildcards, or the start of a store path.
    """
    from vstore.api.listings import list_objects

    with settings.open_store(read_only=True) as store:
        documents = order.of(_document(one.info, one.used_on) for one in list_objects(store, wanted))
        is_empty = not documents and not store.objects.all()

    def text() -> str:
        rows = [{**document, "size": size(document["size_bytes"])} for document in documents]
        columns = {"kind": "kind", "size": "size", "files": "files", "registered_at": "registered", "used_on": "used"}
        return "the store is empty" if is_empty else table(rows, {**columns, "path": "path"})

    settings.emit(documents, text)


@command("info")
@click.argument("what")
def info_command(settings: Settings, what: str) -> None:
    """The size of the closure is that of the object and of everything that it refers to."""
    from vstore.api.layers import clashes_of, describe_clashes, read_builds
    from vstore.api.stores import closure, object_info, referrers, resolve_what
    from vstore.cli.documents.stores import clash_document

    with settings.open_store(read_only=True) as store:
        info = object_info(store, resolve_what(store, what).path)
        builds = list(read_builds(store, info.path))
        clashes, use = clashes_of(store, info.path), store.last_used.of(info.path)
        document: InfoDocument = {
            **_document(info, date.fromisoformat(use.used_on) if use else info.registered_at.astimezone(UTC).date()),
            "location": str(store.layout.object(info.path)),
            "digest": str(info.digest),
            "recipe": str(info.recipe) if info.recipe else None,
            "inputs": [str(one) for one in info.inputs],
            "referrers": [str(one) for one in referrers(store, info.path)],
            "closure_size_bytes": sum(one.size_bytes for one in closure(store, info.path)),
            "clashes": [clash_document(one) for one in clashes],
            "builds": [_build(one) for one in builds],
        }
    shown: dict[str, object] = {**document, "clashes": describe_clashes(clashes)}
    shown["builds"] = [_told(one) for one in document["builds"]]
    settings.emit(document, lambda: "\n".join(f"{key + ':':20}{_text(value)}" for key, value in shown.items()))


def _build(build: Build) -> BuildDocument:
    return {
        "signed_by": build.signed_by,
        "recipe": str(build.recipe),
        "host": build.host,
        "system": build.system,
        "vstore": build.vstore,
        "uv": build.uv,
        "lock": build.lock,
        "indexes": list(build.indexes),
        "built_at": when(build.built_at),
        "build_seconds": build.seconds,
    }


def _told(build: BuildDocument) -> str:
    tools = f"vstore {build['vstore']}" + (f", uv {build['uv']}" if build["uv"] else "")
    sources = ", ".join(filter(None, (build["lock"], *build["indexes"])))
    signer = f", signed by {build['signed_by']}" if build["signed_by"] else ""
    return f"{build['built_at']} on {build['host']} by {tools}{f', from {sources}' if sources else ''}{signer}"


def _text(value: object) -> str:
    return "\n                    ".join(map(str, value)) if isinstance(value, list) else str(value)


@command("tree")
@click.argument("what")
def tree_command(settings: Settings, what: str) -> None:
    """References of references are indented below them. An object that was shown above is not expanded again."""
    from vstore.api.stores import closure, resolve_what

    with settings.open_store(read_only=True) as store:
        top = resolve_what(store, what).path
        references = {info.path: info.references for info in closure(store, top)}
    document: TreeDocument = {
        "path": str(top),
        "references": {str(member): [str(one) for one in paths] for member, paths in references.items()},
    }
    settings.emit(document, lambda: "\n".join(_branches(top, references, "", set())))


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
@click.argument("what")
@click.argument("dependency")
def why_depends_command(settings: Settings, what: str, dependency: str) -> None:
    """If there are several chains, one of the shortest is shown. DEPENDENCY is named like WHAT."""
    from vstore.api.layers import layers_with
    from vstore.api.stores import dependency_chain, resolve_what

    with settings.open_store(read_only=True) as store:
        top = resolve_what(store, what).path
        try:
            bottom = resolve_what(store, dependency).path
        except NotFoundError as error:
            if layers := layers_with(store, top, dependency):
                raise NotFoundError(
                    f"{dependency} is a package of {', '.join(one.name for one in layers)}: packages are not objects",
                    hint=f"`vstore why-depends {what} {layers[0]}` shows the chain to the layer",
                ) from error
            raise
        chain = dependency_chain(store, top, bottom)
    document: ChainDocument = {
        "path": str(top),
        "dependency": str(bottom),
        "chain": [str(member) for member in chain],
    }
    text = "\n".join(f"{'  ' * depth}{member}" for depth, member in enumerate(chain))
    settings.emit(document, lambda: text or f"{top} does not depend on {bottom}")


@command("sql")
@click.argument("query", required=False)
@click.option("-p", "--parameter", type=(str, str), multiple=True, metavar="NAME VALUE", help="Set :NAME in the query.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", help="Output format.")
def sql_command(settings: Settings, query: str | None, parameter: tuple[tuple[str, str], ...], form: str) -> None:
    """Without QUERY, list the tables with their columns and numbers of rows. Bytes are printed in hexadecimal."""
    from vstore.api.stores import describe_index, query_index

    with settings.open_store(read_only=True) as store:
        rows = query_index(store, query, dict(parameter)) if query else describe_index(store)
    if form == "json":
        settings.json = True
    columns = {key: key for key in rows[0]} if rows else {}
    settings.emit(rows, lambda: _csv(rows) if form == "csv" else table(rows, columns))


def _csv(rows: Sequence[Mapping[str, object]]) -> str:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([list(rows[0]), *(row.values() for row in rows)] if rows else [])
    return text.getvalue().rstrip("\n")


_FETCHED = "it was built elsewhere, or with another root", "`vstore realise --check SPEC` builds it here as well"
_NO_LOG = {
    "interpreter": ("an interpreter is copied, not built", "`vstore info WHAT` shows everything known about it"),
    "source": ("it is a module of a spec, which is copied", "`vstore info WHAT` shows what refers to it"),
    "stack": ("a stack only links its layers", "`vstore log PROFILE/LAYER` shows the log of a layer"),
}


@command("log")
@click.argument("what")
def log_command(settings: Settings, what: str) -> None:
    """Only layers have a log, on the machine that built them."""
    from vstore.api.stores import object_info, read_log, resolve_what

    with settings.open_store(read_only=True) as store:
        info = object_info(store, resolve_what(store, what).path)
        text = read_log(store, info.recipe) if info.recipe else None
    if text is None:
        reason, hint = _NO_LOG.get(info.kind, _FETCHED)
        raise NotFoundError(f"there is no build log of {info.path}: {reason}", hint=hint)
    document: LogDocument = {"path": str(info.path), "log": text}
    settings.emit(document, lambda: text.rstrip())
