"""The interpreter below every runtime: which one, and how it gets into a tree of its own.

Without a pin a managed build is preferred and one of this machine is adopted when there is none or
its site cannot be reached. With a pin there is no choice: a pinned managed build is never replaced.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from vstore.build.bytecode import compile_tree
from vstore.build.interpreter.adopt import adopt, start
from vstore.build.interpreter.local import LocalPython, find_local, version_key
from vstore.build.interpreter.managed import download, find_downloads, find_managed
from vstore.build.interpreter.standalone import take
from vstore.build.layout import Layout
from vstore.errors import BuildError
from vstore.lock.model import InterpreterPin
from vstore.reporter import Reporter
from vstore.target import Target
from vstore.uv import Uv
from vstore.values import frozen


@frozen
class InterpreterSource:
    """Where an interpreter comes from: a managed download, or `local`, to be adopted. `note` is for people."""

    pin: InterpreterPin
    target: Target
    local: LocalPython | None = None
    note: str | None = None


def choose(
    requirement: str, *, pin: InterpreterPin | None, uv: Uv, target: str, offline: bool = False
) -> InterpreterSource:
    """Where to take ``cpython@3.11`` (the newest there is) or ``cpython@3.11.7`` from.

    Raises BuildError when nobody has it, or when the pinned one is not to be had.
    """
    implementation, _, wanted = requirement.partition("@")
    platform = Target(target)
    if implementation != "cpython" or len(version_key(wanted)) == 0:
        raise BuildError(
            f"not an interpreter that can be made: {requirement}", hint="write cpython@3.12 or cpython@3.12.4"
        )
    if pin is not None:
        return _pinned(pin, platform, uv)
    managed = None if offline else find_managed(wanted, platform, uv)
    if managed is not None:
        return InterpreterSource(pin=managed, target=platform)
    here = find_local(uv.environment, wanted) if platform == Target.host() else []
    if not here:
        raise _nobody_has(wanted, platform, uv, offline or uv.offline)
    found = here[0]
    return InterpreterSource(
        pin=InterpreterPin(
            implementation="cpython",
            version=found.version,
            source="adopted",
            downloads={} if offline else find_downloads(found.version, uv),
        ),
        target=platform,
        local=found,
        note=f"no managed CPython {wanted} could be reached: adopting {found.executable} ({found.version})",
    )


def _pinned(pin: InterpreterPin, target: Target, uv: Uv) -> InterpreterSource:
    if pin.is_managed(target):
        return InterpreterSource(pin=pin, target=target)
    if target != Target.host():
        raise BuildError(
            f"the lock has no managed build of CPython {pin.version} for {target}",
            details=[f"it pins one adopted from the machine that locked, with builds for: {_known(pin)}"],
            hint="set UV_PYTHON_DOWNLOADS_JSON_URL or UV_PYTHON_INSTALL_MIRROR to where there is one, and run "
            "`vstore lock --upgrade`",
        )
    here = find_local(uv.environment, pin.version)
    if not here:
        raise BuildError(
            f"the lock pins CPython {pin.version}, adopted from a machine that had it; this one has not",
            details=_versions_here(uv),
            hint=f"install CPython {pin.version} here, or lock again with `vstore lock --upgrade`",
        )
    return InterpreterSource(pin=pin, target=target, local=here[0])


def _known(pin: InterpreterPin) -> str:
    return ", ".join(sorted(pin.downloads)) or "none"


def _nobody_has(wanted: str, target: Target, uv: Uv, offline: bool) -> BuildError:
    if target != Target.host():
        return BuildError(
            f"no managed CPython {wanted} for {target} could be reached, and none can be adopted for another platform",
            hint="set UV_PYTHON_INSTALL_MIRROR to a mirror that can be reached",
        )
    tried = "this ran offline" if offline else "no managed build could be reached"
    return BuildError(
        f"nobody has CPython {wanted}: none on this machine, and {tried}",
        details=_versions_here(uv),
        hint="ask for one of these in `python_implementation`, or set UV_PYTHON_INSTALL_MIRROR to a mirror",
    )


def _versions_here(uv: Uv) -> list[str]:
    versions = dict.fromkeys(one.version for one in find_local(uv.environment))
    return [f"on this machine: {', '.join(versions) or 'none'}"]


def materialise(
    source: InterpreterSource,
    staging: Path,
    *,
    uv: Uv,
    reporter: Reporter,
    jobs: int | None = None,
    compiler: Path | None = None,
) -> None:
    """Fill the empty folder `staging` with the interpreter. Raises BuildError or ToolError.

    `compiler` is an interpreter of the same version that runs here; needed where the one to be made does not.
    """
    jobs = jobs or os.cpu_count() or 1
    if source.note:
        reporter.note(source.note)
    if source.local is not None:
        adopt(source.local, staging, jobs=jobs, reporter=reporter)
        return
    subject = f"cpython-{source.pin.version}"
    layout = Layout(target=source.target, python=source.pin.version)
    reporter.progress(subject, "downloading")
    with tempfile.TemporaryDirectory(prefix=".download-", dir=staging) as scratch:
        archive = download(source.pin, source.target, Path(scratch) / "uv", uv)
        reporter.progress(subject, "unpacking")
        sources = take(archive, staging, layout)
    program = staging / layout.interpreter
    compile_tree(compiler or program, staging, sources, jobs, reporter, subject=subject)
    if source.target == Target.host():
        reporter.progress(subject, "checking")
        start(program, staging)
