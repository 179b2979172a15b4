"""The files that a spec names: checkouts, ignore rules, modules."""
