"""vstore as a library, for scripts and for the command line. docs/api.md is its reference.

There is a module for each noun: `stores` (opening, objects, roots), `listings` (filters), `usage` (disk space),
`reports` (a page about a store), `sboms`, `audits` (known vulnerabilities), `maintenance` (verifying, repairing,
sharing), `doctor`, `config`, `specs`, `locks`, `migration` (from other tools), `realising`, `layers`, `plans`,
`profiles`, `activation`, `kernels`, `environments`, `gc`, `names` (completion), `publishing`, `images`, `caches`,
`places` (for builds), `cluster` (many machines), `workers` (of a cluster) and `reporting`. Errors are those of
`vstore.errors`. A name of these modules keeps its meaning from one minor release to the next. All other modules may
change.
"""
