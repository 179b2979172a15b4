"""What a person names: a profile, one of its generations, or an object."""

from __future__ import annotations

from vstore import profile as profiles
from vstore.errors import ProfileError, StoreError
from vstore.objects import StorePath
from vstore.store import Store


def find(store: Store, what: str) -> StorePath:
    """The object that a profile (its current generation), ``PROFILE@N`` or a store path names, kept alive from now on.

    A profile wins over an object of the same name. Raises StoreError or ProfileError when there is none.
    """
    path = _find(store, what)
    store.add_temp_root(path)
    if not store.is_valid(path):
        raise StoreError(f"not in the store: {path}")
    return path


def _find(store: Store, what: str) -> StorePath:
    known = profiles.names(store)
    if what in known:
        generation = profiles.current(store, what)
        if generation is None:
            raise ProfileError(f"profile {what} has no current generation", hint=f"`vstore history {what}`")
        return generation.path
    profile, _, number = what.rpartition("@")
    if profile in known and number.isdecimal():
        for generation in profiles.history(store, profile):
            if generation.number == int(number):
                return generation.path
        raise ProfileError(f"profile {profile} has no generation {number}", hint=f"`vstore history {profile}`")
    return store.resolve(what)
