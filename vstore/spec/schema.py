"""The JSON schema (draft 7) of a spec, for editors.

It refuses what the reader refuses in a single value. What depends on other values (unknown names, clashes, cycles), on
files or on the syntax of PEP 508 is left to the reader.
"""

from __future__ import annotations

from vstore.objects import Kind
from vstore.spec.keys import KEYS, LAYER_NAME

Schema = dict[str, object]

_UV: Schema = {
    "type": "object",
    "description": "Settings of uv: indexes, sources and others.",
    "properties": {
        "index": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["url"],
                "properties": {"name": {"type": "string"}, "url": {"type": "string"}},
            },
        },
        "sources": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["index"],
                "properties": {"index": {"type": "string"}},
            },
        },
    },
}
_VSTORE: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "profile": {
            "type": "string",
            "pattern": rf"^(?!.*-[0-9]+-link$)(?:{LAYER_NAME})$",
            "description": "Name of the profile. The default follows from the name of the file or of its folder.",
        }
    },
}


def spec_schema() -> dict[str, object]:
    """Return the schema."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "vstore spec",
        "type": "object",
        "properties": {
            "$schema": {"type": "string"},
            "runtimes": _layers(Kind.RUNTIME, "Interpreters, each with packages that all layers above share."),
            "frameworks": _layers(Kind.FRAMEWORK, "Layers of packages on a runtime or on other frameworks."),
            "applications": _layers(Kind.APPLICATION, "Programs on a runtime or on frameworks."),
            "tool": {"type": "object", "properties": {"uv": _UV, "vstore": _VSTORE}},
        },
    }


def _layers(kind: Kind, meaning: str) -> Schema:
    keys = [key for key in KEYS if kind in key.kinds]
    properties: Schema = {key.name: {**key.schema, "description": key.meaning} for key in keys}
    properties["build_requirements"] = {"deprecated": True, "description": "Obsolete and ignored."}
    choice = ("runtime", "frameworks")
    if kind == Kind.RUNTIME:
        choice = ("python_implementation", "fully_versioned_name")
        properties["fully_versioned_name"] = {
            **properties["python_implementation"],  # type: ignore[dict-item]
            "deprecated": True,
            "description": "Obsolete: python_implementation is its name now.",
        }
    layer: Schema = {
        "type": "object",
        "additionalProperties": False,
        "required": [key.name for key in keys if key.required],
        "oneOf": [{"required": [name]} for name in choice],
        "properties": properties,
    }
    return {"type": "array", "description": meaning, "items": layer}
