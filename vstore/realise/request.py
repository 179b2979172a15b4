"""What a user may ask of realising and locking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a user may ask of `realise`; `environment` is where uv's own settings come from."""

    spec: Path
    profile: str | None = None
    include: tuple[str, ...] = ()
    locked: bool = False
    offline: bool = False
    dry_run: bool = False
    check: bool = False
    jobs: int = 1
    keep_going: bool = False
    keep_failed: bool = False
    local_wheels: tuple[Path, ...] = ()
    index: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
