"""Documents about specs, locks and the stacks that are realised from them."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from vstore.cli.documents.profiles import ChangeDocument
from vstore.cli.documents.stores import ClashDocument


class InitDocument(TypedDict):
    """A new spec."""

    spec: Annotated[str, "Absolute path of the file"]
    files: Annotated[list[str], "Names of new files beside the spec; one that exists is kept"]


class ProposedLayerDocument(TypedDict):
    """A layer of a proposed spec."""

    name: Annotated[str, "Name of the layer"]
    kind: Annotated[str, "`runtime`, `framework` or `application`"]
    requirements: Annotated[list[str], "Its requirements"]
    size_bytes: Annotated[int | None, "Size of its packages; null if the source does not say it"]


class LeftOutDocument(TypedDict):
    """A part of a project that is not taken over."""

    subject: Annotated[str, "The part"]
    reason: Annotated[str, "Why, and what to do instead"]


class InitFromDocument(InitDocument):
    """A spec that is proposed for a project of another tool."""

    source: Annotated[str, "Absolute path that was read"]
    format: Annotated[str, "Names of the files that were read"]
    python: Annotated[str, "Interpreter of the runtime"]
    layers: Annotated[list[ProposedLayerDocument], "Layers, the lowest first"]
    constraints: Annotated[list[str], "Versions that are kept as constraints"]
    left_out: Annotated[list[LeftOutDocument], "Parts that are not taken over"]
    text: Annotated[str, "Text of the spec"]
    dry_run: Annotated[bool, "Whether nothing was written"]


class LayerStatus(TypedDict):
    """A layer as venvstacks shows it."""

    name: Annotated[str, "Environment name of the layer"]
    install_target: Annotated[str, "Name of its folder, with `@N` if it is versioned"]
    has_valid_lock: Annotated[bool, "Whether its lock fits the spec"]
    selected_operations: Annotated[list[str] | None, "Action that would be taken; null for a dependency"]
    dependencies: Annotated[NotRequired[list[LayerStatus]], "Layers below it; not of a runtime"]


class SpecLayer(TypedDict):
    """A layer of a spec and its lock."""

    name: Annotated[str, "Environment name of the layer"]
    kind: Annotated[str, "`runtime`, `framework` or `application`"]
    requirements: Annotated[list[str], "Requirements as the spec has them"]
    dependencies: Annotated[list[str], "Environment names of the layers below it, in import order"]
    platforms: Annotated[list[str], "Platforms that it is for"]
    lock: Annotated[str, "`valid`, or why the lock is not"]
    lock_version: Annotated[int | None, "Number of the lock, of a versioned layer"]
    locked_at: Annotated[str | None, "Time of the lock"]


class VenvstacksStatus(TypedDict):
    """The document of `venvstacks show --json`."""

    spec_name: Annotated[str, "Path of the spec"]
    runtimes: Annotated[list[LayerStatus], "Selected runtimes"]
    frameworks: Annotated[list[LayerStatus], "Selected frameworks"]
    applications: Annotated[list[LayerStatus], "Selected applications"]


class ShowDocument(VenvstacksStatus):
    """The layers of a spec and the state of their locks."""

    spec: Annotated[str, "Path of the spec"]
    profile: Annotated[str, "Name of its profile"]
    layers: Annotated[list[SpecLayer], "Selected layers, in the order of the spec"]


class HeldBackDocument(TypedDict):
    """A package that is locked at an older version than its layer alone would have."""

    name: Annotated[str, "Normalised name of the package"]
    version: Annotated[str, "Version that is locked"]
    without: Annotated[str, "Version that would be locked otherwise"]
    by: Annotated[list[str], "Requirements or settings that hold it back"]
    ways: Annotated[list[str], "Ways to change that"]


class LayerLock(TypedDict):
    """The lock of a layer."""

    name: Annotated[str, "Environment name of the layer"]
    path: Annotated[str, "Path of the lock file"]
    install_target: Annotated[str, "Name of its folder, with `@N` if it is versioned"]
    locked_at: Annotated[str | None, "Time of the lock"]
    platforms: Annotated[list[str], "Platforms that the lock covers"]
    left_out: Annotated[dict[str, str], "For each platform without a solution, the reason"]
    held_back: Annotated[list[HeldBackDocument], "Packages that another layer or requirement keeps from being newer"]
    conflicts: Annotated[list[str], "Requirements that contradict each other, one sentence each"]
    warnings: Annotated[
        list[str], "Warnings about its packages: a yanked version, a missing extra, a wheel without native code"
    ]


class ExactlyRequiredDocument(TypedDict):
    """A package that `--upgrade` or `--upgrade-package` cannot change."""

    layer: Annotated[str, "Environment name of the layer"]
    package: Annotated[str, "Normalised name of the package"]
    version: Annotated[str, "Its only allowed version"]
    by: Annotated[str, "Setting of `[tool.uv]`, or layer, that requires it"]


class LockDocument(TypedDict):
    """Locks that were written or are valid."""

    layers: Annotated[list[LayerLock], "Locks of the selected layers"]
    changes: Annotated[list[ChangeDocument], "Packages that differ from the locks before"]
    not_upgraded: Annotated[list[ExactlyRequiredDocument], "Packages that were to be upgraded and cannot be"]


class LockCheckDocument(TypedDict):
    """The result of `lock --check` if the lock is valid; otherwise it is an error with exit code 4."""

    valid: Annotated[bool, "Always true"]


class BuiltDocument(TypedDict):
    """An object that was made present."""

    name: Annotated[str, "Name of the layer, interpreter or stack"]
    kind: Annotated[str, "Kind of the object"]
    path: Annotated[str | None, "Store path; null if it is not known before the build"]
    origin: Annotated[
        str,
        "`present`, `substituted`, `built` or `adopted`; `checked` after `--check`; "
        "`to lock`, `to substitute` or `to build` with `--dry-run`",
    ]
    duration_seconds: Annotated[float, "Time that it took"]


class RealisedLayerDocument(BuiltDocument):
    """A layer of a realised stack."""

    clashes: Annotated[list[ClashDocument], "Files that its merge hides, if it was just built or substituted"]


class RealiseDocument(TypedDict):
    """A realised stack."""

    profile: Annotated[str | None, "Name of the profile"]
    target: Annotated[str, "Platform"]
    generation: Annotated[int | None, "Number of the current generation; null if none was made"]
    changed: Annotated[bool, "Whether the generation is new"]
    stack: Annotated[str | None, "Store path of the stack"]
    layers: Annotated[list[RealisedLayerDocument], "The interpreter and the layers, dependencies first"]
    fetched_bytes: Annotated[int, "Bytes fetched from caches; with `--dry-run` at most so many would be"]
    dry_run: Annotated[bool, "Whether nothing was changed"]


class RealisePlanDocument(RealiseDocument, VenvstacksStatus):
    """The plan of `realise --dry-run`: the stack that would be made, and the layers as in `show`."""

    spec: Annotated[str, "Path of the spec"]


class PlannedStackDocument(TypedDict):
    """A requested stack."""

    spec: Annotated[str, "Path of the spec"]
    target: Annotated[str, "Platform"]
    profile: Annotated[str, "Name of its profile"]
    node: Annotated[str, "Key of the node of the stack"]


class NodeDocument(TypedDict):
    """A node of a plan; `vstore build` takes it."""

    key: Annotated[str, "Node key: store path of the recipe's text, ending in `.node`"]
    recipe: Annotated[dict[str, Any], "The text that is hashed, see [formats.md](internals/formats.md#recipe)"]
    origins: Annotated[dict[str, dict[str, str]], "For each SHA-256, where its bytes may be had. Never a login"]
    objects: Annotated[dict[str, str], "Known store paths of its dependencies, by node key"]


class PlanNodeDocument(NodeDocument):
    """A node with its place in the graph."""

    dependencies: Annotated[list[str], "Keys of the nodes to build before it"]
    object: Annotated[str | None, "Its store path, null while it is not known"]
    cached: Annotated[bool, "Whether only a cache has it"]
    expected_seconds: Annotated[float | None, "Duration of the last build of a layer of that name"]
    expected_bytes: Annotated[int | None, "Size of the last layer of that name"]


class PlanDocument(TypedDict):
    """A graph of nodes."""

    format: Annotated[int, "Always 1"]
    stacks: Annotated[list[PlannedStackDocument], "One for each spec and platform"]
    nodes: Annotated[list[PlanNodeDocument], "Dependencies first"]
