"""Lock files on disk: one PEP 751 file per layer, read and written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from vstore.digest import hash_json
from vstore.documents import Fields
from vstore.errors import LockError
from vstore.fs.paths import quoted
from vstore.lock.model import (
    Download,
    Findings,
    HeldBack,
    InterpreterPin,
    LockedLayer,
    LockedPackage,
    LockedWheel,
    LockInputs,
)
from vstore.lock.paths import INTERPRETER_HEAD, remove, write_changed
from vstore.lock.record import read_record, requirements_hash
from vstore.objects import Kind
from vstore.python_version import PythonVersion
from vstore.spec import Layer, Spec
from vstore.spec.lockfiles import interpreter_path, lock_path, read_lock_file, record_path
from vstore.toml import TomlError, parse_toml

_HEADER = (
    "# Locked by vstore with uv: one layer of {spec}.\n"
    "# Packages marked `from_lower_layer` come from the layers below and are not installed.\n"
    "# Change the spec and run `vstore lock`, not this file.\n"
)


def read_lock(spec: Spec, layer: Layer) -> LockedLayer | None:
    """Read the lock of one layer. Return None when there is no file. Raise LockError when it is malformed."""
    path = lock_path(spec, layer)
    with _reading(spec, layer, path):
        data = read_lock_file(path)
        return None if data is None else _locked(spec, layer, Fields(parse_toml(data)))


@contextmanager
def _reading(spec: Spec, layer: Layer, path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, RecursionError) as error:
        problem = "not valid TOML" if isinstance(error, TomlError) else "malformed"
        raise LockError(
            f"lock file of layer {layer.env_name} is {problem}: {path.name}",
            details=[str(error)],
            hint=f"run `vstore lock --reset {layer.env_name} {quoted(spec.path)}`",
        ) from error


def _locked(spec: Spec, layer: Layer, document: Fields) -> LockedLayer:
    own = document.table("tool").table("vstore")
    ours = "inputs" in own
    packages = read_packages(document)
    digest = _packages_digest(document.values.get("packages", []))
    pin = _pin(own.table("interpreter")) if "interpreter" in own else None
    return LockedLayer(
        env_name=layer.env_name,
        path=lock_path(spec, layer),
        packages=packages,
        packages_digest=digest,
        inputs=_inputs(own.table("inputs")) if ours else None,
        edited=ours and own.values.get("packages") != digest,
        interpreter=pin if ours else _read_interpreter(spec, layer),
        joint=own.values.get("joint") is True,
        findings=_findings(own),
        record=read_record(record_path(spec, layer)),
        content_hash=None if ours else requirements_hash(packages),
    )


def read_packages(document: Fields) -> tuple[LockedPackage, ...]:
    """Read the packages of a PEP 751 document. Raise ValueError when one is malformed."""
    return tuple(
        LockedPackage(
            name=package.text("name"),
            version=str(package.values.get("version", "")),
            marker=package.optional_text("marker"),
            wheels=tuple(map(read_wheel, package.tables("wheels"))),
            index=package.optional_text("index"),
        )
        for package in document.tables("packages")
    )


def read_wheel(wheel: Fields) -> LockedWheel:
    """Read a wheel of a PEP 751 document. Raise ValueError when it is malformed."""
    hashes = wheel.table("hashes")
    hashes.text("sha256")
    return LockedWheel(
        location=wheel.text("path" if wheel.values.get("path") else "url"),
        hashes=wheel.texts_by_key("hashes"),
        name=wheel.optional_text("name"),
        size_bytes=wheel.optional_size("size"),
    )


def _packages_digest(packages: object) -> str:
    """The digest of the packages in a lock file, so that an edit by hand is noticed, also by the locks above."""
    text = json.dumps(packages, sort_keys=True, default=str)
    return str(hash_json("packages 1", json.loads(text)))


def packages_digest(packages: Sequence[LockedPackage]) -> str:
    """Return the digest of packages as the lock file holds them."""
    return _packages_digest([_package_table(package) for package in packages])


def _inputs(table: Fields) -> LockInputs:
    return LockInputs(
        requirements=table.texts("requirements"),
        python=table.optional_text("python") or "",
        targets=table.texts("targets"),
        settings=table.optional_text("settings") or "",
        dependencies=table.texts_by_key("lower"),
    )


def _findings(own: Fields) -> Findings:
    held = (
        HeldBack(
            name=one.text("name"),
            version=one.text("version"),
            without=one.text("without"),
            by=one.texts("by"),
            ways=one.texts("ways"),
        )
        for one in own.tables("held_back")
    )
    return Findings(
        left_out=own.texts_by_key("left_out"),
        held_back=tuple(held),
        conflicts=own.texts("conflicts"),
        warnings=own.texts("warnings"),
    )


def _pin(table: Fields) -> InterpreterPin:
    return InterpreterPin(
        implementation=table.text("implementation"),
        version=str(PythonVersion.parse(table.text("version"))),
        source=table.text("source"),
        downloads={
            target: Download(url=one.text("url"), sha256=one.optional_text("sha256"))
            for target, one in table.tables_by_key("downloads").items()
        },
    )


def _read_interpreter(spec: Spec, layer: Layer) -> InterpreterPin | None:
    """Read the pin beside a lock that venvstacks wrote."""
    if layer.kind != Kind.RUNTIME:
        return None
    path = interpreter_path(spec, layer)
    with _reading(spec, layer, path):
        data = read_lock_file(path)
        return None if data is None else _pin(Fields(parse_toml(data)))


def write_lock(spec: Spec, layer: Layer, locked: LockedLayer) -> None:
    """Write the lock of a layer, unless the file has this content. Remove the pin beside a runtime's lock."""
    import tomli_w

    assert locked.inputs is not None
    document = {
        "lock-version": "1.0",
        "requires-python": f"=={locked.inputs.python}.*",
        "packages": [_package_table(package) for package in locked.packages],
        "created-by": "vstore",
        "tool": {"vstore": _own_table(locked, locked.inputs)},
    }
    text = _HEADER.format(spec=spec.path.name) + tomli_w.dumps(document)
    write_changed(lock_path(spec, layer), text.encode())
    if layer.kind == Kind.RUNTIME:
        remove(interpreter_path(spec, layer))


def write_interpreter(spec: Spec, layer: Layer, pin: InterpreterPin) -> None:
    """Write the pin of a runtime's interpreter beside a lock that venvstacks wrote."""
    import tomli_w

    header = f"{INTERPRETER_HEAD}{layer.env_name}; the lock beside it is venvstacks' own.\n"
    write_changed(interpreter_path(spec, layer), (header + tomli_w.dumps(_pin_table(pin))).encode())


def _own_table(locked: LockedLayer, inputs: LockInputs) -> dict[str, object]:
    return {
        "inputs": {
            "requirements": list(inputs.requirements),
            "python": inputs.python,
            "targets": list(inputs.targets),
            "settings": inputs.settings,
            "lower": dict(inputs.dependencies),
        },
        "packages": locked.packages_digest,
        **({"joint": True} if locked.joint else {}),
        **{key: value for key, value in asdict(locked.findings).items() if value},
        **({"interpreter": _pin_table(locked.interpreter)} if locked.interpreter else {}),
    }


def _package_table(package: LockedPackage) -> dict[str, object]:
    return {
        "name": package.name,
        **({"version": package.version} if package.version else {}),
        **({"index": package.index} if package.index else {}),
        **({} if package.shared else {"wheels": [_wheel_table(wheel) for wheel in package.wheels]}),
        **({"marker": package.marker} if package.marker else {}),
    }


def _wheel_table(wheel: LockedWheel) -> dict[str, object]:
    location = {"url" if "://" in wheel.location else "path": wheel.location}
    return {
        **({"name": wheel.name} if wheel.name else {}),
        **(location if "url" in location else {}),
        **({"size": wheel.size_bytes} if wheel.size_bytes is not None else {}),
        "hashes": dict(wheel.hashes),
        **(location if "path" in location else {}),
    }


def _pin_table(pin: InterpreterPin) -> Mapping[str, object]:
    downloads = {
        target: {"url": one.url, **({"sha256": one.sha256} if one.sha256 else {})}
        for target, one in pin.downloads.items()
    }
    return {
        "implementation": pin.implementation,
        "version": pin.version,
        "source": pin.source,
        **({"downloads": downloads} if downloads else {}),
    }
