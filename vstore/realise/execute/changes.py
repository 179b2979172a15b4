"""Describe the difference between two recipes: the reason to build an object although there is one of its name."""

from __future__ import annotations

from collections.abc import Mapping

from vstore.errors import StoreError
from vstore.objects import StorePath
from vstore.store import Store

_SUBJECTS = {
    "builder": "this release of vstore builds otherwise",
    "interpreter": "its interpreter changed",
    "python": "its interpreter changed",
    "lowers": "a layer below changed",
    "sources": "its modules changed",
    "launch_module": "its launch module has another name",
    "dynlib_exclude": "its dynlib_exclude changed",
    "target": "it is for another platform",
    "layers": "its layers changed",
}


def describe_change(store: Store, name: str, wanted: Mapping[str, object]) -> str:
    """Return the reason why the newest object of a name was not made by the recipe with the JSON `wanted`.

    Objects and manifests that cannot be read count as missing.
    """
    newest = next((info.path for info in store.objects.newest_of(name)), None)
    known = _recipe_text(store, newest) if newest else None
    if known is None:
        return "there is no earlier one"
    changes = dict.fromkeys(_changes(known, wanted))
    return f"unlike {newest}: {', '.join(changes) or 'the recipe changed'}"


def _recipe_text(store: Store, path: StorePath) -> Mapping[str, object] | None:
    try:
        text = store.manifest(path)[1].get("recipe_text")
    except (StoreError, OSError):
        return None
    return text if isinstance(text, dict) else None


def _changes(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    found = [text for key, text in _SUBJECTS.items() if old.get(key) != new.get(key)]
    if old.get("wheels") != new.get("wheels"):
        found += _wheel_changes(_versions(old.get("wheels")), _versions(new.get("wheels"))) or ["its wheels changed"]
    return found


def _versions(wheels: object) -> dict[str, str]:
    rows = wheels if isinstance(wheels, list) else []
    return {str(row[0]): str(row[1]) for row in rows if isinstance(row, list) and len(row) > 1}


def _wheel_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return the first changes of packages, and how many more there are."""
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    found = [f"{name} {old.get(name, 'none')} -> {new.get(name, 'none')}" for name in names[:3]]
    return [*found, f"{len(names) - 3} more packages"] if len(names) > 3 else found
