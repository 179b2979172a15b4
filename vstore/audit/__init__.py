"""Known vulnerabilities of the packages that are live in a store, or in the locks of a spec.

A database has advisories in the format of OSV (https://ossf.github.io/osv-schema/). `database` reads it, `matching`
compares versions, `live` finds the packages and what keeps them, `ways` the shortest way out.
"""
