"""Decide what a development environment contains. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from vstore.environments.distributions import InstalledDistribution
from vstore.values import frozen


@frozen
class DevelopmentPlan:
    """The changes of an environment.

    `copied` and `removed` are dist-info folders. `hidden` are the names of the distributions of the layer that the user
    has installed too: the user's hide them.
    """

    copied: tuple[str, ...]
    removed: tuple[str, ...]
    hidden: tuple[str, ...]


def plan_environment(
    layer: Sequence[InstalledDistribution], installed: Sequence[InstalledDistribution], *, changed: Collection[str] = ()
) -> DevelopmentPlan:
    """Plan an environment, given the distributions of its layer and those that it has.

    `changed` are the folders whose metadata in the layer differ from the copy. What the user installed stays.
    """
    own = {one.name for one in installed if not one.is_copy}
    wanted = {one.folder for one in layer if one.name not in own}
    copies = {one.folder for one in installed if one.is_copy}
    kept = (wanted & copies).difference(changed)
    return DevelopmentPlan(
        copied=tuple(sorted(wanted - kept)),
        removed=tuple(sorted(copies - kept)),
        hidden=tuple(sorted(own & {one.name for one in layer})),
    )
