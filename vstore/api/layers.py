"""Layers: their packages, who built them, and the files for which distributions clash.

Example::

    from vstore.api import layers, profiles, stores

    with stores.open_store() as store:
        stack = profiles.current(store, "project").path
        for layer, packages in layers.distributions(store, stack).items():
            print(layer, packages)
"""

from __future__ import annotations

from packaging.utils import canonicalize_name

from vstore.build.clashes import Clash, describe_clashes
from vstore.build.layer_metadata import read_metadata
from vstore.objects import LAYER_FILE, StorePath
from vstore.realise.execute.statement import Build, read_builds
from vstore.realise.stack import stack_distributions as distributions
from vstore.store import Store

__all__ = ["Build", "Clash", "clashes_of", "describe_clashes", "distributions", "layers_with", "read_builds"]


def clashes_of(store: Store, path: StorePath) -> tuple[Clash, ...]:
    """Return the paths for which distributions of a layer, or of the layers below it, have different files.

    It is empty for an object that is no layer. Raises StoreError if the layer is damaged.
    """
    folder = store.layout.object(path)
    return read_metadata(folder).clashes if (folder / LAYER_FILE).exists() else ()


def layers_with(store: Store, path: StorePath, package: str) -> list[StorePath]:
    """Return the layers with an installed package of this name, among an object and all that it refers to."""
    wanted, found = canonicalize_name(package), []
    for member in sorted(store.objects.closure([path])):
        folder = store.layout.object(member)
        if (folder / LAYER_FILE).exists():
            names = {canonicalize_name(one.name) for one in read_metadata(folder).distributions}
            found += [member] if wanted in names else []
    return found
