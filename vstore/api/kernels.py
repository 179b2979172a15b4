"""Kernels of Jupyter that run in a layer, and follow its profile.

Example::

    import os
    from vstore.api import kernels, stores
    from vstore.errors import UsageError

    with stores.open_store() as store:
        try:
            kernels.install(store, "project", kernels.kernels_folder(None, os.environ))
        except UsageError as error:  # a layer without ipykernel
            print(error)
"""

from __future__ import annotations

import re
from pathlib import Path

from vstore.environments.activation import find_layer
from vstore.environments.kernels import Kernel, install_kernel, installed_kernels, kernels_folder, remove_kernel
from vstore.errors import UsageError
from vstore.store import Store

__all__ = ["Kernel", "install", "installed_kernels", "kernels_folder", "remove_kernel"]


def install(store: Store, what: str, folder: Path, *, name: str | None = None, title: str | None = None) -> Kernel:
    """Make a kernel of a layer in a folder of kernels. A kernel that vstore made there is replaced.

    `what` is a profile or a layer of one. The name is by default that, and the title is the name with the store.
    Raises UsageError as `install_kernel`, and for a layer that is not named by a profile, and as `find_layer`.
    """
    layer = find_layer(store, what)
    if not layer.place.is_relative_to(store.layout.profiles):
        raise UsageError(
            f"a kernel would not keep {what} alive", hint="name the layer by its profile: PROFILE or PROFILE/LAYER"
        )
    default = re.sub("[^A-Za-z0-9._-]+", "-", what)
    made = Kernel(name=name or default, title=title or f"{what} (vstore)", layer=layer.place, layer_name=layer.name)
    install_kernel(folder, made, layer, store=store.layout.root)
    return made
