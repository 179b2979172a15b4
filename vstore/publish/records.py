"""The metadata of published and exported members, in the format of venvstacks. docs/publish.md has all keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, TypedDict, TypeGuard

from vstore.objects import Kind

FORMAT = 1
LAYER_KINDS = {Kind.RUNTIME: "runtimes", Kind.FRAMEWORK: "frameworks", Kind.APPLICATION: "applications"}
OTHER_KINDS = {Kind.INTERPRETER: "interpreters", Kind.STACK: "stacks"}


class OwnFields(TypedDict, total=False):
    """The fields of a record that vstore adds, below the key ``vstore``."""

    store_path: str | None
    digest: str | None
    kind: str
    name: str
    references: list[str]
    links: str
    compression: str
    level: int
    bytecode: bool
    index_digest: str | None
    content_bytes: int


class ModuleRecord(TypedDict):
    """A support module of an application."""

    name: str
    hash: str


class MemberRecord(TypedDict, total=False):
    """The metadata of one member."""

    layer_name: str
    install_target: str | None
    runtime_layer: str | None
    required_layers: list[str | None]
    requirements_hash: str | None
    lock_version: int
    locked_at: str | None
    python_implementation: str | None
    bound_to_implementation: bool
    app_launch_module: str
    app_launch_module_hash: str
    app_support_modules: list[ModuleRecord]
    target_platform: str
    archive_build: int
    archive_name: str
    archive_size: int
    archive_hashes: dict[str, str]
    vstore: OwnFields


class LayerTables(TypedDict):
    """The records of layers, by kind."""

    runtimes: list[MemberRecord]
    frameworks: list[MemberRecord]
    applications: list[MemberRecord]


class OtherTables(TypedDict):
    """The records of members that venvstacks does not have."""

    format: int
    interpreters: list[MemberRecord]
    stacks: list[MemberRecord]


class CombinedManifest(TypedDict):
    """The content of ``venvstacks.json``: the records of all members in a folder."""

    layers: LayerTables
    vstore: OtherTables


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
    """Read the records of a combined manifest, by kind. What is not a record is left out."""
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
