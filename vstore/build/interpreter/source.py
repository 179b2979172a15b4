"""The source of an interpreter, and its tree.

Without a pin a managed build is preferred. An interpreter of this machine is adopted if there is no such build, or its
site is not reachable. With a pin there is no choice: another interpreter never replaces a pinned build.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from vstore.build.bytecode import compile_tree
from vstore.build.interpreter.adopt import adopt, smoke_test
from vstore.build.interpreter.local import LocalPython, find_local
from vstore.build.interpreter.managed import download, find_downloads, find_managed
from vstore.build.interpreter.standalone import extract_interpreter
from vstore.build.layout import LayerLayout
from vstore.errors import BuildError
from vstore.lock.model import InterpreterPin
from vstore.python_version import PythonRequirement, PythonVersion
from vstore.reporter import Reporter, Unit
from vstore.target import Target
from vstore.uv import Uv
from vstore.values import frozen


@frozen
class InterpreterSource:
    """The source of an interpreter: a managed build, or `local`, which is to be adopted. `note` is for people."""

    pin: InterpreterPin
    target: Target
    local: LocalPython | None = None
    note: str | None = None


def choose_source(
    requirement: PythonRequirement, *, pin: InterpreterPin | None, uv: Uv, target: str
) -> InterpreterSource:
    """Return the source of an interpreter: the pinned one, else the newest that the requirement allows.

    Raises BuildError if it is not available.
    """
    platform = Target(target)
    if requirement.implementation != "cpython":
        raise BuildError(f"{requirement}: PyPy is not supported", hint="write cpython@3.12 or cpython@3.12.4")
    if pin is not None:
        return _pinned_source(pin, platform, uv)
    managed = find_managed(requirement, platform, uv)
    if managed is not None:
        return InterpreterSource(pin=managed, target=platform)
    local = find_local(uv.environment, requirement) if platform == Target.host() else []
    if not local:
        raise _not_available(requirement, platform, uv)
    found = local[0]
    return InterpreterSource(
        pin=InterpreterPin(
            implementation="cpython",
            version=str(found.version),
            source="adopted",
            downloads=find_downloads(found.version, uv),
        ),
        target=platform,
        local=found,
        note=f"no managed {_described(requirement)} is reachable: adopting {found.executable} ({found.version})",
    )


def _pinned_source(pin: InterpreterPin, target: Target, uv: Uv) -> InterpreterSource:
    if pin.is_managed(target):
        return InterpreterSource(pin=pin, target=target)
    if target != Target.host():
        raise BuildError(
            f"the lock has no managed build of CPython {pin.version} for {target}",
            details=[
                "the machine that locked adopted its own interpreter",
                f"the lock has managed builds for: {', '.join(sorted(pin.downloads)) or 'no platform'}",
            ],
            hint="set UV_PYTHON_DOWNLOADS_JSON_URL or UV_PYTHON_INSTALL_MIRROR to where there is one, and run "
            "`vstore lock --upgrade`",
        )
    local = find_local(uv.environment, PythonRequirement(pin.implementation, pin.version))
    if not local:
        raise BuildError(
            f"CPython {pin.version} is not on this machine; the lock pins one adopted from another machine",
            details=_versions_here(uv),
            hint=f"install it here, such as by `uv python install {pin.version}`,"
            " or lock again with `vstore lock --upgrade`",
        )
    return InterpreterSource(pin=pin, target=target, local=local[0])


def _not_available(requirement: PythonRequirement, target: Target, uv: Uv) -> BuildError:
    if target != Target.host():
        return BuildError(
            f"no managed {_described(requirement)} for {target} is reachable; adopting is for this machine only",
            hint="set UV_PYTHON_INSTALL_MIRROR to a mirror that can be reached",
        )
    reason = "downloads are disabled (offline)" if uv.offline else "no managed build is reachable"
    return BuildError(
        f"{_described(requirement)} is not available: it is not on this machine, and {reason}",
        details=_versions_here(uv),
        hint="set `python_implementation` to one of these, or UV_PYTHON_INSTALL_MIRROR to a mirror",
    )


def _described(requirement: PythonRequirement) -> str:
    return f"CPython {requirement.version}".rstrip()


def _versions_here(uv: Uv) -> list[str]:
    versions = dict.fromkeys(str(one.version) for one in find_local(uv.environment))
    return [f"on this machine: {', '.join(versions) or 'none'}"]


def build_interpreter(
    source: InterpreterSource,
    staging: Path,
    *,
    uv: Uv,
    reporter: Reporter,
    jobs: int,
    compiler: Path | None = None,
) -> None:
    """Fill the empty folder `staging` with the interpreter. Raises BuildError or ToolError.

    `compiler` is an interpreter of the same version for this machine. It is needed if the interpreter is for another.
    """
    if source.note:
        reporter.note(source.note)
    if source.local is not None:
        adopt(source.local, staging, jobs=jobs, reporter=reporter, cancel=uv.cancel)
        return
    subject = f"cpython-{source.pin.version}"
    layout = LayerLayout(target=source.target, python=PythonVersion.parse(source.pin.version))
    reporter.progress(subject, "downloading", 0, 0, Unit.BYTES)
    reporting = replace(
        uv, on_bytes=lambda done, total: reporter.progress(subject, "downloading", done, total, Unit.BYTES)
    )
    with tempfile.TemporaryDirectory(prefix=".download-", dir=staging) as scratch:
        archive = download(source.pin, source.target, Path(scratch) / "uv", reporting)
        reporter.progress(subject, "unpacking")
        sources = extract_interpreter(archive, staging, layout)
    program = staging / layout.interpreter
    compile_tree(
        compiler or program,
        staging,
        sources,
        jobs,
        on_progress=lambda done, total: reporter.progress(subject, "compiling", done, total),
        cancel=uv.cancel,
    )
    if source.target == Target.host():
        reporter.progress(subject, "checking")
        smoke_test(program, staging)
