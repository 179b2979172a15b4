"""vstore as a library, for scripts and for the command line. docs/api.md is its reference.

<<<<<<< HEAD
There is a module for each noun: `stores` (opening, objects, roots), `listings` (filters), `maintenance` (verifying,
repairing, sharing), `doctor`, `config`, `specs`, `locks`, `realising`, `layers`, `plans`, `profiles`, `environments`,
`gc`, `publishing`, `caches` and `reporting`. Errors are those of `vstore.errors`. A name of these modules keeps its
meaning from one minor release to the next. All other modules may change.
=======
There is a module for each noun: `stores` (opening, objects, roots), `maintenance` (verifying, repairing, sharing),
`doctor`, `config`, `specs`, `locks`, `realising`, `layers`, `plans`, `profiles`, `activation`, `environments`, `gc`,
`publishing`, `caches` and `reporting`. Errors are those of `vstore.errors`. A name of these modules keeps its meaning
from one minor release to the next. All other modules may change.
>>>>>>> 64c20c1 (Any program and shell runs in a layer: exec, shell and activate go through the link of the profile)
"""
