"""Malicious packages: the advisories whose identifiers begin with ``MAL-``."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.utils import canonicalize_name

from vstore.audit.database import AdvisoryDatabase
from vstore.audit.matching import is_affected
from vstore.errors import LockError
from vstore.lock import LockedLayer


def refuse_malicious(database: AdvisoryDatabase, locked: LockedLayer) -> None:
    """Raise LockError if a lock has a version of a package that an advisory calls malicious."""
    found = list(_malicious(database, locked))
    if found:
        raise LockError(
            f"layer {locked.env_name} has a malicious package: {found[0]}",
            details=found[1:],
            hint="do not install it; require another package or version, then run `vstore lock`",
        )


def _malicious(database: AdvisoryDatabase, locked: LockedLayer) -> Iterator[str]:
    for package in locked.packages:
        if package.shared:
            continue
        for one in database.advisories(canonicalize_name(package.name)):
            if one.is_malicious and is_affected(one, package.version):
                yield f"{package.name} {package.version} ({one.id}{f': {one.summary}' if one.summary else ''})"
