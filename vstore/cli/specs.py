"""Specs and locks: `init`, `show`, `lock`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from vstore.cli.settings import Settings, command
from vstore.errors import LockError, UsageError
from vstore.lock.staleness import check
from vstore.objects import Kind
from vstore.realise.model import Request
from vstore.realise.prepare import lock_spec, stale_error
from vstore.spec import Layer, Spec, Target, load

SPEC = click.Path(path_type=Path, dir_okay=False)

TEMPLATE = """\
# A stack of layers. `vstore realise spec.toml` locks it, builds it and switches the profile to it.

[[runtimes]]                            # a Python, and packages that everything above shares
name = "python"
python_implementation = "cpython@3.11"  # the lock pins the patch version
requirements = []
platforms = ["linux_x86_64"]

[[frameworks]]                          # shared packages, on a runtime or on other frameworks
name = "web"
runtime = "python"
requirements = ["flask"]

[[applications]]                        # a module of yours and what only it needs
name = "hello"
launch_module = "hello.py"
frameworks = ["web"]
requirements = []
"""

HELLO = """\
import flask

print("hello from flask", flask.__name__)
"""


@command("init")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=".")
def init_command(settings: Settings, directory: Path) -> None:
    """Write a small commented spec into DIRECTORY (default: here)."""
    spec = directory / "spec.toml"
    if spec.exists():
        raise UsageError(f"there is a spec already: {spec}")
    directory.mkdir(parents=True, exist_ok=True)
    spec.write_text(TEMPLATE.replace("linux_x86_64", str(Target.host())), encoding="utf-8")
    if not (directory / "hello.py").exists():
        (directory / "hello.py").write_text(HELLO, encoding="utf-8")
    settings.emit({"spec": str(spec)}, lambda: f"wrote {spec}; next: vstore realise {spec}")


@command("show")
@click.argument("spec", type=SPEC)
def show_command(settings: Settings, spec: Path) -> None:
    """Show the layers of SPEC, what each sits on in import order, and the state of their locks."""
    loaded = load(spec)
    for warning in loaded.warnings:
        settings.report.warn(warning)
    stale = check(loaded)
    document = {
        "spec": str(loaded.path),
        "profile": loaded.profile,
        "layers": [_document(loaded, layer, stale.get(layer.env_name)) for layer in loaded.layers],
    }
    settings.emit(document, lambda: _tree(loaded, stale))


def _document(spec: Spec, layer: Layer, stale: str | None) -> dict[str, object]:
    return {
        "name": layer.env_name,
        "kind": str(layer.kind),
        "requirements": list(layer.requirements),
        "dependencies": [low.env_name for low in spec.lower(layer)],
        "platforms": [str(target) for target in layer.targets],
        "lock": "valid" if stale is None else stale,
    }


def _tree(spec: Spec, stale: dict[str, str | None]) -> str:
    lines = [f"{spec.path.name} (profile {spec.profile}); * means: no valid lock"]
    for kind in (Kind.RUNTIME, Kind.FRAMEWORK, Kind.APPLICATION):
        layers = [layer for layer in spec.layers if layer.kind == kind]
        if layers:
            lines.append(f"{kind}s")
        for layer in layers:
            reason = stale.get(layer.env_name)
            lines.append(f"  {'*' if reason else ' '}{layer.env_name}" + (f"  ({reason})" if reason else ""))
            lines += [f"      {low.env_name}" for low in spec.lower(layer)]
    return "\n".join(lines)


@command("lock")
@click.argument("spec", type=SPEC)
@click.option("--upgrade", is_flag=True, help="Take the newest versions instead of keeping the locked ones.")
@click.option("--upgrade-package", multiple=True, metavar="P", help="Take the newest version of this package.")
@click.option("--reset", multiple=True, metavar="GLOB", help="Forget the locks of these layers first.")
@click.option("--if-needed", is_flag=True, help="Leave valid locks alone (the default without --upgrade).")
@click.option("--check", "only_check", is_flag=True, help="Only say whether the lock is valid; exit 4 if not.")
@click.option("--offline", is_flag=True, help="Use no network.")
@click.option("--index/--no-index", default=True, help="Whether to ask the package index.")
@click.option(
    "--local-wheels",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Wheel folders.",
)
def lock_command(
    settings: Settings,
    spec: Path,
    upgrade: bool,
    upgrade_package: tuple[str, ...],
    reset: tuple[str, ...],
    if_needed: bool,
    only_check: bool,
    offline: bool,
    index: bool,
    local_wheels: tuple[Path, ...],
) -> None:
    """Resolve all layers of SPEC together and write their lockfiles."""
    if upgrade and if_needed:
        raise UsageError("--upgrade and --if-needed contradict each other")
    loaded = load(spec)
    if only_check:
        stale = {name: reason for name, reason in check(loaded).items() if reason}
        if stale:
            raise stale_error(loaded, stale)
        settings.emit({"valid": True}, lambda: "all locks are valid")
        return
    request = Request(spec=spec, offline=offline, index=index, local_wheels=local_wheels, environment=dict(os.environ))
    with settings.open_store() as store:
        report = settings.report
        try:
            prepared = lock_spec(
                store,
                loaded,
                request,
                target=Target.host(),
                uv=settings.uv(store, offline=offline),
                report=report,
                upgrade=upgrade,
                upgrade_packages=upgrade_package,
                reset=reset,
                if_needed=not (upgrade or upgrade_package or reset),
            )
        finally:
            report.close()
    if not prepared.locked:
        raise LockError(f"{loaded.path.name}: nothing to lock")
    rows = [{"name": one.env_name, "path": str(one.path)} for one in prepared.locked.values()]
    settings.emit({"layers": rows}, lambda: "\n".join(f"{row['name']}: {row['path']}" for row in rows))
