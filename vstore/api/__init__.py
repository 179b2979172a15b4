"""vstore as a library: what scripts may build on, and all that the command line itself uses.

A module per noun: `stores` (opening, objects, roots), `upkeep` (checking, repairing, sharing), `config`, `specs`,
`locks`, `realising`, `plans`, `profiles`, `gc`, `publishing` and `caches`. Errors are those of `vstore.errors`. What is
named here keeps its name and meaning from one minor release to the next; anything else in the package may change::

    from pathlib import Path
    from vstore.api import profiles, realising, stores

    with stores.open_store() as store:
        done = realising.realise(store, realising.Request(spec=Path("spec.toml")))
        print(done.profile, done.generation, done.stack)
        profiles.rollback(store, done.profile)
"""
