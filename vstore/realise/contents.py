"""What a stack holds in the words of its users: distributions and versions."""

from __future__ import annotations

from vstore.build.layer_metadata import read_facts
from vstore.objects import Kind, StorePath
from vstore.profile import read_stack
from vstore.store import Store


def distributions(store: Store, stack: StorePath) -> dict[str, dict[str, str]]:
    """Layer name → distribution name → version, the interpreters as ``python``."""
    found: dict[str, dict[str, str]] = {}
    for layer in read_stack(store.layout.object(stack)).layers:
        if layer.kind == Kind.INTERPRETER:
            name, _, version = layer.name.partition("-")
            found[layer.name] = {name: version}
            continue
        facts = read_facts(store.layout.object(layer.path))
        found[layer.name] = {one.name: one.version for one in facts.distributions}
    return found
