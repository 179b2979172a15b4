"""The layers of a spec, the state of their locks, and the actions of a command on them: as a tree and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from vstore.api.locks import LockedLayer, Operation, Project, Selection, deployed_name, stale_reasons
from vstore.api.specs import Layer, Spec
from vstore.api.stores import Kind
from vstore.cli.text import when

if TYPE_CHECKING:
    from vstore.cli.documents.profiles import ChangeDocument
    from vstore.cli.documents.specs import (
        ExactlyRequiredDocument,
        LayerLock,
        LayerStatus,
        LockDocument,
        ShowDocument,
        SpecLayer,
        VenvstacksStatus,
    )

_ARRAYS = {Kind.RUNTIME: "runtimes", Kind.FRAMEWORK: "frameworks", Kind.APPLICATION: "applications"}
_SHOWN = 10  # packages that one line names


class SpecView:
    """A spec and its locks, read once."""

    def __init__(self, project: Project, selection: Selection) -> None:
        spec = self.spec = project.spec
        self.selection = selection
        self.stale = stale_reasons(project)
        self.locks = {one.env_name: one for one in project.locks}
        self._names = {layer.env_name: self._name(layer) for layer in spec.layers}

    def venvstacks_status(self) -> VenvstacksStatus:
        """Return the selected layers as venvstacks shows them."""
        return {
            "spec_name": str(self.spec.path),
            "runtimes": self._statuses(Kind.RUNTIME),
            "frameworks": self._statuses(Kind.FRAMEWORK),
            "applications": self._statuses(Kind.APPLICATION),
        }

    def document(self) -> ShowDocument:
        """Return the document of `show`."""
        return {
            **self.venvstacks_status(),
            "spec": str(self.spec.path),
            "profile": self.spec.profile,
            "layers": [self._layer(one) for one in self.spec.layers if one in self.selection or not one.targets],
        }

    def _statuses(self, kind: Kind) -> list[LayerStatus]:
        return [self._status(layer) for layer in self.spec.layers if layer.kind == kind and layer in self.selection]

    def _status(self, layer: Layer) -> LayerStatus:
        status = self._brief(layer)
        status["selected_operations"] = [str(operation) for operation in self.selection.of(layer)]
        if layer.kind != Kind.RUNTIME:
            status["dependencies"] = [self._brief(self.spec.layer(name)) for name in layer.dependency_names]
        return status

    def _brief(self, layer: Layer) -> LayerStatus:
        return {
            "name": layer.env_name,
            "install_target": self._deployed(layer),
            "has_valid_lock": self._is_valid(layer),
            "selected_operations": None,
        }

    def _layer(self, layer: Layer) -> SpecLayer:
        locked = self.locks.get(layer.env_name)
        record = locked.record if locked else None
        return {
            "name": layer.env_name,
            "kind": str(layer.kind),
            "requirements": list(layer.requirements),
            "dependencies": list(layer.dependency_names),
            "platforms": [str(target) for target in layer.targets],
            "lock": self.stale.get(layer.env_name) or "valid",
            "lock_version": record.lock_version if record else None,
            "locked_at": when(record.locked_at) if record else None,
        }

    def _is_valid(self, layer: Layer) -> bool:
        return layer.env_name in self.stale and self.stale[layer.env_name] is None

    def _deployed(self, layer: Layer) -> str:
        locked = self.locks.get(layer.env_name)
        if not layer.versioned:
            return layer.env_name
        if locked is None or not self._is_valid(layer):
            return f"{layer.env_name}@???"
        return deployed_name(layer, locked)

    def text(self) -> str:
        """Return the tree of layers by kind."""
        lines = [f"{self.spec.path.name} (profile {self.spec.profile}); * means: no valid lock"]
        for kind, name in _ARRAYS.items():
            layers = [layer for layer in self.spec.layers if layer.kind == kind and layer in self.selection]
            if layers:
                lines.append(name)
            for layer in layers:
                operations = ", ".join(self._actions(layer))
                reason = self.stale.get(layer.env_name)
                lines.append(
                    f"  {self._names[layer.env_name]}"
                    + (f" ({operations})" if operations else "")
                    + (f": {reason}" if reason else "")
                )
                lines += [f"      {self._names[name]}" for name in layer.dependency_names]
        return "\n".join(lines)

    def _actions(self, layer: Layer) -> Iterator[str]:
        """Yield what a command does with a layer, as far as its lock tells."""
        operations = self.selection.of(layer)
        if Operation.RESET_LOCK in operations:
            yield "lock without the old versions"
        elif Operation.LOCK in operations:
            yield "lock again"
        elif Operation.LOCK_IF_NEEDED in operations and not self._is_valid(layer):
            yield "lock"
        if self.selection.builds(layer):
            yield "build unless present"

    def _name(self, layer: Layer) -> str:
        deployed = self._deployed(layer)
        arrow = f" -> {deployed}" if deployed != layer.env_name else ""
        return f"{'' if self._is_valid(layer) else '*'}{layer.env_name}{arrow}"


def lock_documents(spec: Spec, locked: Mapping[str, LockedLayer]) -> list[LayerLock]:
    """Return the documents of the locks of layers, by environment name."""
    return [
        {
            "name": name,
            "path": str(one.path),
            "install_target": deployed_name(spec.layer(name), one),
            "locked_at": when(one.record.locked_at) if one.record else None,
            "platforms": _covered(spec.layer(name), one),
            "left_out": {str(target): reason for target, reason in one.findings.left_out.items()},
            "held_back": [
                {
                    "name": held.name,
                    "version": held.version,
                    "without": held.without,
                    "by": list(held.by),
                    "ways": list(held.ways),
                }
                for held in one.findings.held_back
            ],
            "conflicts": list(one.findings.conflicts),
            "warnings": list(one.findings.warnings),
        }
        for name, one in locked.items()
    ]


def lock_text(spec: Spec, locked: Mapping[str, LockedLayer], document: LockDocument) -> str:
    """Return the summary of `lock`: the path of each lock, the changed packages, then the warnings."""
    lines = [f"{row['name']}: {row['path']} ({row['locked_at']})" for row in document["layers"]]
    lines += [_change(one) for one in document["changes"]]
    by = dict.fromkeys(one["by"] for one in document["not_upgraded"])
    lines += [_not_upgraded(place, [one for one in document["not_upgraded"] if one["by"] == place]) for place in by]
    for name, one in locked.items():
        lines += [f"held back in layer {name}: {held}" for held in one.findings.held_back]
    for one in locked.values():
        lines += [f"conflict: {conflict}" for conflict in one.findings.conflicts]
    for name, one in locked.items():
        lines += [f"warning: layer {name}: {warning}" for warning in one.findings.warnings]
    alike: dict[tuple[str, str], list[str]] = {}
    for name, one in locked.items():
        covered = ", ".join(_covered(spec.layer(name), one))
        lost = "; ".join(f"{target}: {why}" for target, why in one.findings.left_out.items())
        alike.setdefault((covered, lost), []).append(name)
    for (covered, lost), names in alike.items():
        which = "all layers" if len(alike) == 1 else ", ".join(names)
        lines.append(f"{which} can be realised on {covered}" + (f" (left out: {lost})" if lost else ""))
    return "\n".join(lines)


def _change(one: ChangeDocument) -> str:
    match one:
        case {"old": None}:
            return f"{one['package']} {one['new']} added ({one['layer']})"
        case {"new": None}:
            return f"{one['package']} {one['old']} removed ({one['layer']})"
    return f"{one['package']} {one['old']} -> {one['new']} ({one['layer']})"


def _not_upgraded(place: str, packages: list[ExactlyRequiredDocument]) -> str:
    if len(packages) == 1:
        return f"{packages[0]['package']} is held at {packages[0]['version']} by {place}"
    shown = ", ".join(f"{one['package']} {one['version']}" for one in packages[:_SHOWN])
    more = f" and {len(packages) - _SHOWN} more" if len(packages) > _SHOWN else ""
    return f"{len(packages)} packages are held by {place}: {shown}{more}"


def _covered(layer: Layer, locked: LockedLayer) -> list[str]:
    return [str(target) for target in layer.targets if target not in locked.findings.left_out]
