"""The metadata of published and exported members, in the format of venvstacks. docs/publish.md has all keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, TypedDict, TypeGuard

from vstore.objects import Kind

FORMAT = 1
LAYER_KINDS = {Kind.RUNTIME: "runtimes", Kind.FRAMEWORK: "frameworks", Kind.APPLICATION: "applications"}
OTHER_KINDS = {Kind.INTERPRETER: "interpreters", Kind.STACK: "stacks"}


class OwnFields(TypedDict, total=False):
    """The fields of a record that vstore adds, below the key ``vstore``."""

    store_path: Annotated[str | None, "Store path of the object; null if it is not built yet"]
    digest: Annotated[str | None, "BLAKE3 digest of its manifest, in hexadecimal"]
    kind: Annotated[str, "Kind of the object"]
    name: Annotated[str, "Name, with `@N` of a versioned layer"]
    references: Annotated[list[str], "Store paths of the objects that it refers to"]
    links: Annotated[str, "Exported: `symlink` or `copy`"]
    compression: Annotated[str, "Published: `zst`, `xz` or `gz`"]
    level: Annotated[int, "Published: level of the compression"]
    bytecode: Annotated[bool, "Published: whether the archive has compiled files"]
    diff_id: Annotated[str, "Published: SHA-256 of the tar stream in the archive, in hexadecimal"]
    index_digest: Annotated[str | None, "Published: BLAKE3 digest of the archive's index"]
    content_bytes: Annotated[int, "Published: size of the archive before compression"]


class ModuleRecord(TypedDict):
    """A support module of an application."""

    name: Annotated[str, "Name of the module"]
    hash: Annotated[str, "Hash of the module, as venvstacks computes it"]


class MemberRecord(TypedDict, total=False):
    """The metadata of one member."""

    layer_name: Annotated[str, "Environment name of the layer"]
    install_target: Annotated[str | None, "Folder that the layer is in"]
    runtime_layer: Annotated[str | None, "Folder of the runtime"]
    required_layers: Annotated[list[str | None], "Folders of the frameworks below, nearest first"]
    requirements_hash: Annotated[str | None, "Hash of the requirements, from the lock"]
    lock_version: Annotated[int, "Number of the lock"]
    locked_at: Annotated[str | None, "Time of the lock, with `+00:00` as venvstacks writes it"]
    python_implementation: Annotated[str | None, "Python as in the spec; the locked one if that is a range"]
    bound_to_implementation: Annotated[bool, "Whether it is bound to that Python: true of a runtime"]
    app_launch_module: Annotated[str, "Of an application: its launch module"]
    app_launch_module_hash: Annotated[str, "Of an application: hash of that module"]
    app_support_modules: Annotated[list[ModuleRecord], "Of an application: its support modules"]
    target_platform: Annotated[str, "Published: platform"]
    archive_build: Annotated[int, "Published: 1, 2, … within one lock version"]
    archive_name: Annotated[str, "Published: name of the archive"]
    archive_size: Annotated[int, "Published: size of the archive, in bytes"]
    archive_hashes: Annotated[dict[str, str], "Published: digest in hexadecimal, by algorithm"]
    vstore: Annotated[OwnFields, "What vstore adds"]


class LayerTables(TypedDict):
    """The records of layers, by kind."""

    runtimes: Annotated[list[MemberRecord], "Runtimes"]
    frameworks: Annotated[list[MemberRecord], "Frameworks"]
    applications: Annotated[list[MemberRecord], "Applications"]


class OtherTables(TypedDict):
    """The records of members that venvstacks does not have."""

    format: Annotated[int, "Always 1"]
    interpreters: Annotated[list[MemberRecord], "Interpreters"]
    stacks: Annotated[list[MemberRecord], "Stacks"]


class CombinedManifest(TypedDict):
    """The content of ``venvstacks.json``: the records of all members in a folder."""

    layers: Annotated[LayerTables, "Layers"]
    vstore: Annotated[OtherTables, "Interpreters and stacks"]


Tables = Mapping[Kind, Sequence[MemberRecord]]
_TYPES: dict[str, type | tuple[type, ...]] = {
    "lock_version": int,
    "archive_build": int,
    "archive_name": str,
    "archive_size": int,
    "archive_hashes": dict,
    "vstore": dict,
}
_OWN_TYPES: dict[str, type | tuple[type, ...]] = {
    "store_path": (str, NoneType),
    "name": str,
    "references": list,
    "links": str,
}


def parse_record(document: object) -> MemberRecord | None:
    """Read a record of an earlier run; None if it is not one. Fields of a wrong type are dropped."""
    if not isinstance(document, dict):
        return None
    fields = _well_typed(document, _TYPES)
    fields["vstore"] = _well_typed(fields.get("vstore", {}), _OWN_TYPES)
    return fields if _is_record(fields) else None


def _well_typed(document: Mapping[str, Any], types: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if isinstance(value, types.get(key, object))}


def _is_record(fields: dict[str, Any]) -> TypeGuard[MemberRecord]:
    return isinstance(fields.get("layer_name"), str)


def own_fields(record: MemberRecord) -> OwnFields:
    """Return the fields of a record that vstore adds."""
    return record.get("vstore", {})


def parse_tables(document: object) -> dict[Kind, list[MemberRecord]]:
    """Read the records of a combined manifest, by kind. Other values are ignored."""
    tables = document if isinstance(document, dict) else {}
    found: dict[Kind, list[MemberRecord]] = {}
    for part, kinds in (("layers", LAYER_KINDS), ("vstore", OTHER_KINDS)):
        rows_by_key = tables.get(part)
        for kind, key in kinds.items():
            rows = rows_by_key.get(key) if isinstance(rows_by_key, dict) else None
            found[kind] = [row for row in map(parse_record, rows) if row] if isinstance(rows, list) else []
    return found


def combine(records: Iterable[tuple[Kind, MemberRecord]], earlier: Tables) -> CombinedManifest:
    """Return the manifest of these records and of the `earlier` ones of other layers, in order."""
    found = {kind: {row["layer_name"]: row for row in earlier.get(kind, ())} for kind in (*LAYER_KINDS, *OTHER_KINDS)}
    for kind, record in records:
        found[kind][record["layer_name"]] = record
    rows = {kind: list(named.values()) for kind, named in found.items()}
    return {
        "layers": {
            "runtimes": rows[Kind.RUNTIME],
            "frameworks": rows[Kind.FRAMEWORK],
            "applications": rows[Kind.APPLICATION],
        },
        "vstore": {"format": FORMAT, "interpreters": rows[Kind.INTERPRETER], "stacks": rows[Kind.STACK]},
    }


def all_records(manifest: CombinedManifest) -> list[MemberRecord]:
    """Return every record of a combined manifest."""
    layers, others = manifest["layers"], manifest["vstore"]
    found = [*layers["runtimes"], *layers["frameworks"], *layers["applications"]]
    return [*found, *others["interpreters"], *others["stacks"]]


def outdated_layers(manifest: CombinedManifest) -> list[str]:
    """Return the names of layers of earlier runs that need an object which the folder no longer has."""
    records = all_records(manifest)
    present = {own_fields(record).get("store_path") for record in records}
    return [
        record["layer_name"]
        for record in records
        if any(path not in present for path in own_fields(record).get("references", ()))
    ]
