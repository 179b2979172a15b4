"""What a stack holds in the words of its users: distributions and versions."""

from __future__ import annotations

import json

from vstore.build.facts import read_facts
from vstore.objects import StorePath
from vstore.store import Store


def distributions(store: Store, stack: StorePath) -> dict[str, dict[str, str]]:
    """Layer name → distribution name → version, the interpreters as ``python``."""
    document = json.loads((store.layout.object(stack) / "stack.json").read_bytes())
    found: dict[str, dict[str, str]] = {}
    for layer in document["layers"]:
        if layer["kind"] == "interpreter":
            name, _, version = layer["name"].partition("-")
            found[layer["name"]] = {name: version}
            continue
        facts = read_facts(store.layout.object(StorePath.parse(layer["path"])))
        found[layer["name"]] = {one.name: one.version for one in facts.distributions}
    return found
