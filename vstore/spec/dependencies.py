"""What a framework or an application sits on: its runtime and its frameworks in C3 order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vstore.errors import nearest
from vstore.spec.graph import OrderConflict, find_cycle, linearise
from vstore.spec.model import Layer
from vstore.spec.reader import Table, quote
from vstore.values import frozen

_MAX_BELOW = 2_500  # what is kept for a chain grows with the square


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The layers so far, by name; None for one whose own foundation is faulty. `edges`: frameworks as declared."""

    runtimes: dict[str, Layer | None] = field(default_factory=dict)
    frameworks: dict[str, Layer | None] = field(default_factory=dict)
    edges: Mapping[str, Sequence[str]]


@frozen
class Foundation:
    """The runtime at the bottom, the frameworks as declared, and all frameworks below, nearest first."""

    runtime: Layer
    declared: tuple[str, ...] = ()
    frameworks: tuple[Layer, ...] = ()

    @property
    def parents(self) -> tuple[Layer, ...]:
        """The layers that the layer names itself."""
        return tuple(layer for layer in self.frameworks if layer.name in self.declared) or (self.runtime,)

    @property
    def inherited_from(self) -> tuple[Layer, ...]:
        """The layers that pass on what they were told (a framework has the runtime's already)."""
        return self.frameworks or (self.runtime,)


def read_foundation(table: Table, name: str | None, known: Known) -> Foundation | None:
    """What the layer sits on; None if that is faulty, here (a mistake is noted) or further down."""
    if "runtime" in table and "frameworks" in table:
        table.wrong("", "must specify a runtime or framework dependencies, not both")
        return None
    if "runtime" in table:
        return _on_runtime(table, known)
    names = table.strings("frameworks") if "frameworks" in table else ()
    if names is None:
        return None
    if not names:
        table.wrong("", "must specify a runtime or at least one framework dependency")
        return None
    return _on_frameworks(table, name, names, known)


def _on_runtime(table: Table, known: Known) -> Foundation | None:
    wanted = table.string("runtime")
    if wanted is None:
        return None
    if wanted not in known.runtimes:
        table.wrong("runtime", f"unknown runtime {quote(wanted)}{_suggest(wanted, known.runtimes)}")
        return None
    runtime = known.runtimes[wanted]
    return None if runtime is None else Foundation(runtime=runtime)


def _on_frameworks(table: Table, name: str | None, names: tuple[str, ...], known: Known) -> Foundation | None:
    faulty = False
    for number, wanted in enumerate(names):
        key = f"frameworks[{number}]"
        if wanted in names[:number]:
            table.wrong(key, f"framework {quote(wanted)} is named twice")
            faulty = True
        elif wanted not in known.frameworks:
            table.wrong(key, f"unknown framework {quote(wanted)}{_why_unknown(name, wanted, known)}")
            faulty = True
    layers = [known.frameworks.get(wanted) for wanted in names]
    frameworks = [layer for layer in layers if layer is not None]
    for layer in frameworks:
        if layer.runtime != frameworks[0].runtime:
            first = f"{quote(frameworks[0].name)} sits on runtime {quote(str(frameworks[0].runtime))}"
            text = f"inconsistent frameworks, {first} and {quote(layer.name)} on {quote(str(layer.runtime))}"
            table.wrong("frameworks", text)
            faulty = True
            break
    if faulty or len(frameworks) < len(names):
        return None
    return _linearised(table, names, frameworks, known)


def _linearised(table: Table, names: tuple[str, ...], frameworks: Sequence[Layer], known: Known) -> Foundation | None:
    try:
        order = linearise(names, {layer.name: layer.linearised for layer in frameworks})
    except OrderConflict as error:
        remaining = " against ".join(str(list(names)) for names in error.remaining)
        table.wrong("frameworks", f"dependency linearization failed, these orders contradict each other: {remaining}")
        return None
    if len(order) > _MAX_BELOW:
        table.wrong("frameworks", f"a layer may sit on at most {_MAX_BELOW:,} frameworks, these are {len(order):,}")
        return None
    below = [known.frameworks[name] for name in order]
    runtime = known.runtimes.get(str(frameworks[0].runtime))
    if runtime is None:
        return None
    found = tuple(layer for layer in below if layer is not None)
    return Foundation(runtime=runtime, declared=names, frameworks=found)


def _why_unknown(name: str | None, wanted: str, known: Known) -> str:
    """Why a framework that the spec may well define is not known here."""
    is_framework = name is not None and name in known.edges and name not in known.frameworks
    if is_framework and wanted == name:
        return ", a framework cannot sit on itself"
    if wanted not in known.edges:
        return _suggest(wanted, known.frameworks)
    if is_framework and name is not None:
        way = find_cycle(wanted, {**known.edges, name: [wanted]})
        if way is not None and name in way:
            return f", they form a cycle: {' -> '.join((*way, wanted))}"
    return ", it is defined further down (a layer refers to layers above it)"


def _suggest(wanted: str, known: Mapping[str, object]) -> str:
    if not known:
        return ", the spec defines none above"
    near = nearest(wanted, known)
    return f', did you mean "{near}"?' if near else f", known: {', '.join(known)}"
