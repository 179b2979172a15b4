"""The files of a spec's modules: git checkouts, ignore rules, listing, hashing and copying."""
