"""The JSON documents that commands print, as types: every key with its type, unit and meaning.

The reference in docs/cli.md is generated from them, and a test compares them with the output of each command.
Times are RFC 3339 in UTC, sizes end in `_bytes`, durations in `_seconds`, and a `path` is a store path.
"""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from vstore.cli.documents import audits, caches, clusters, environments, profiles, publishing, settings, specs, stores


class ErrorDetails(TypedDict):
    """An error."""

    message: Annotated[str, "The fault and its place"]
    details: Annotated[list[str], "More lines"]
    hint: Annotated[str | None, "A command or change that may help"]
    exit_code: Annotated[int, "Exit code of the command"]


class ErrorDocument(TypedDict):
    """Printed by any command that fails, instead of its own document."""

    error: Annotated[ErrorDetails, "The error"]


DOCUMENTS: dict[str, object] = {  # by command; None prints no document
    "init": specs.InitDocument | specs.InitFromDocument,
    "show": specs.ShowDocument,
    "lock": specs.LockDocument | specs.LockCheckDocument | specs.ShowDocument,
    "realise": specs.RealiseDocument
    | specs.RealisePlanDocument
    | list[specs.RealiseDocument]
    | clusters.ClusterRealiseDocument,
    "plan": specs.PlanDocument,
    "build": specs.BuiltDocument,
    "run": None,
    "exec": None,
    "shell": None,
    "activate": environments.ActivateDocument,
    "kernel install": environments.KernelDocument,
    "kernel list": list[environments.KernelDocument],
    "kernel remove": environments.RemovedKernelDocument,
    "develop": environments.DevelopDocument,
    "publish": publishing.PublishDocument | list[publishing.PublishDocument],
    "export": publishing.ExportDocument,
    "image": publishing.ImageDocument,
    "pack": publishing.PackDocument,
    "unpack": publishing.UnpackDocument,
    "profiles": list[profiles.ProfileDocument],
    "history": list[profiles.GenerationDocument],
    "switch": profiles.SwitchDocument,
    "rollback": profiles.SwitchDocument,
    "diff": profiles.DiffDocument,
    "forget": profiles.ForgetDocument,
    "gc": stores.CollectionDocument,
    "delete": stores.DeletionDocument,
    "roots list": stores.RootsDocument,
    "roots add": stores.AddedRootDocument,
    "roots remove": stores.RemovedRootDocument,
    "list": list[stores.ObjectDocument],
    "du": stores.DiskUsageDocument,
    "sbom": dict[str, Any],
    "audit": audits.AuditDocument,
    "report": stores.ReportDocument,
    "info": stores.InfoDocument,
    "tree": stores.TreeDocument,
    "why-depends": stores.ChainDocument,
    "log": stores.LogDocument,
    "sql": list[dict[str, str | int | float | None]],
    "push": caches.PushDocument,
    "pull": caches.PullDocument,
    "cache ls": caches.CacheListDocument,
    "cache gc": caches.CacheGcDocument,
    "cache verify": caches.CacheVerifyDocument,
    "cache pin": caches.PinDocument,
    "cache unpin": caches.PinDocument,
    "serve": None,
    "scheduler": None,
    "worker": None,
    "key generate": caches.KeyDocument,
    "key list": list[str],
    "verify": stores.VerifyDocument,
    "optimise": stores.OptimiseDocument,
    "reindex": stores.ReindexDocument,
    "config list": list[settings.SettingDocument],
    "config get": settings.SettingDocument,
    "config set": settings.SettingDocument,
    "config unset": settings.SettingDocument,
    "config path": settings.ConfigPathDocument,
    "schema": dict[str, Any],
    "completion": settings.CompletionDocument,
    "doctor": stores.DoctorDocument,
}
