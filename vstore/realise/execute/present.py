"""Finding the object of a recipe in the store or on its way from a cache, else substituting or building it."""

from __future__ import annotations

from collections.abc import Callable

from vstore.build.recipe import Recipe
from vstore.objects import StorePath
from vstore.realise.execute.changes import describe_change
from vstore.realise.model import Origin
from vstore.realise.session import Session


def find_present(session: Session, recipe: Recipe, *, dry_run: bool) -> tuple[Origin, StorePath] | None:
    """Return the object that the store has, or that is being fetched, for which this waits."""
    if (fetched := session.substituter.result(recipe.digest)) is not None:
        return (Origin.TO_SUBSTITUTE if dry_run else Origin.SUBSTITUTED), fetched
    present = session.store.realisation(recipe.digest)
    if present is None:
        return None
    session.reporter.detail(f"{recipe.name}: present, as the store has the object of its recipe: {present}")
    return Origin.PRESENT, present


def substitute_or_build(
    session: Session, recipe: Recipe, build: Callable[[], StorePath], *, dry_run: bool
) -> tuple[Origin, StorePath | None]:
    """Fetch the object of a recipe, or build it, under the recipe's lock. A dry run does neither."""
    if dry_run:
        found = session.substituter.substitute(recipe.digest)
        return (Origin.TO_SUBSTITUTE if found else Origin.TO_BUILD), found
    with session.store.recipe_lock(recipe.digest, session.cancel):
        present = session.store.realisation(recipe.digest)
        if present is not None:
            session.reporter.detail(f"{recipe.name}: present, as another process built it meanwhile: {present}")
            return Origin.PRESENT, present
        fetched = session.substituter.substitute(recipe.digest)
        if fetched is not None:
            return Origin.SUBSTITUTED, fetched
        where = "the store and the caches have" if session.substituter.has_caches else "the store has"
        built = f"{recipe.name}: built, as {where} no object of its recipe"
        session.reporter.detail(lambda: f"{built}; {describe_change(session.store, recipe.name, recipe.as_json())}")
        return Origin.BUILT, build()
