"""From a recipe to its object: there already, else from a cache, else made."""

from __future__ import annotations

from collections.abc import Callable

from vstore.build.recipe import Recipe
from vstore.objects import StorePath
from vstore.realise.model import Origin
from vstore.realise.session import Session


def at_hand(session: Session, recipe: Recipe, *, dry_run: bool) -> tuple[Origin, StorePath] | None:
    """Return the object that the store has, or that is on its way from a cache, which is waited for."""
    if (brought := session.substitutes.begun(recipe.digest)) is not None:
        return (Origin.TO_SUBSTITUTE if dry_run else Origin.SUBSTITUTED), brought
    known = session.store.realisation(recipe.digest)
    return None if known is None else (Origin.PRESENT, known)


def obtain(
    session: Session, recipe: Recipe, make: Callable[[], StorePath], *, dry_run: bool
) -> tuple[Origin, StorePath | None]:
    """Fetch the object, or make it, under the recipe's lock; a dry run only says what would be done."""
    substitutes = session.substitutes
    if dry_run:
        foreseen = substitutes.substitute(recipe.digest)
        return (Origin.TO_SUBSTITUTE if foreseen else Origin.TO_BUILD), foreseen
    with session.store.recipe_lock(recipe.digest, session.cancel):
        known = session.store.realisation(recipe.digest)
        if known is not None:  # another process built it while this one waited
            return Origin.PRESENT, known
        known = substitutes.substitute(recipe.digest)
        if known is not None:
            return Origin.SUBSTITUTED, known
        return Origin.BUILT, make()
