"""Configs of images: the platform, the layers, and how a container starts.

https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from vstore.digest import canonical_json, parse_json
from vstore.documents import Fields
from vstore.oci.model import MAX_DOCUMENT_BYTES, ImagePlatform, Sha256
from vstore.values import frozen


@frozen
class HistoryEntry:
    """The making of a layer, or a change of the config alone, which made no layer. `created` is RFC 3339."""

    created_by: str | None = None
    created: str | None = None
    comment: str | None = None
    author: str | None = None
    empty_layer: bool = False

    def as_json(self) -> dict[str, object]:
        """Return the fields that are set."""
        return _set_only(
            {
                "created": self.created,
                "created_by": self.created_by,
                "author": self.author,
                "comment": self.comment,
                "empty_layer": self.empty_layer,
            }
        )


@frozen
class ContainerDefaults:
    """The start of a container, unless its user says otherwise. `environment` is in the order of the image.

    An empty `user`, `working_directory` or `stop_signal` leaves the choice to the runtime.
    """

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    user: str = ""
    working_directory: str = ""
    labels: Mapping[str, str] = {}
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the fields that are set."""
        return _set_only(
            {
                "Entrypoint": list(self.entrypoint),
                "Cmd": list(self.command),
                "Env": [f"{name}={value}" for name, value in self.environment.items()],
                "User": self.user,
                "WorkingDir": self.working_directory,
                "Labels": dict(self.labels),
                "ExposedPorts": {port: {} for port in self.exposed_ports},
                "Volumes": {place: {} for place in self.volumes},
                "StopSignal": self.stop_signal,
            }
        )

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the part ``config`` of a config. Raises FieldError."""
        variables = (variable.partition("=") for variable in _texts(fields, "Env"))
        return cls(
            entrypoint=_texts(fields, "Entrypoint"),
            command=_texts(fields, "Cmd"),
            environment={name: value for name, _, value in variables},
            user=fields.optional_text("User") or "",
            working_directory=fields.optional_text("WorkingDir") or "",
            labels=fields.texts_by_key("Labels") if fields.values.get("Labels") is not None else {},
            exposed_ports=_keys(fields, "ExposedPorts"),
            volumes=_keys(fields, "Volumes"),
            stop_signal=fields.optional_text("StopSignal") or "",
        )


@frozen
class ImageConfig:
    """The config of an image, which gives it its identity. `diff_ids` are of its layers, lowest first."""

    platform: ImagePlatform
    diff_ids: tuple[Sha256, ...]
    history: tuple[HistoryEntry, ...] = ()
    defaults: ContainerDefaults = ContainerDefaults()
    created: str | None = None

    def encode(self) -> bytes:
        """Return the config as canonical JSON."""
        document = {
            **self.platform.as_json(),
            "created": self.created,
            "config": self.defaults.as_json(),
            "rootfs": {"type": "layers", "diff_ids": [str(digest) for digest in self.diff_ids]},
            "history": [entry.as_json() for entry in self.history],
        }
        return canonical_json(_set_only(document))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a config, also one of Docker. Raises ValueError for one that is malformed or too large."""
        if len(data) > MAX_DOCUMENT_BYTES:
            raise ValueError(f"larger than {MAX_DOCUMENT_BYTES} bytes")
        fields = Fields(parse_json(data))
        root = fields.table("rootfs")
        if root.text("type") != "layers":
            raise root.error("type", "layers")
        history = fields.tables("history") if fields.values.get("history") is not None else ()
        return cls(
            platform=ImagePlatform.from_fields(fields),
            diff_ids=tuple(map(Sha256.parse, root.texts("diff_ids"))),
            history=tuple(map(_history_entry, history)),
            defaults=ContainerDefaults.from_fields(fields.table("config"))
            if fields.values.get("config") is not None
            else ContainerDefaults(),
            created=fields.optional_text("created"),
        )


def _history_entry(fields: Fields) -> HistoryEntry:
    return HistoryEntry(
        created_by=fields.optional_text("created_by"),
        created=fields.optional_text("created"),
        comment=fields.optional_text("comment"),
        author=fields.optional_text("author"),
        empty_layer=fields.values.get("empty_layer") is True,
    )


def _texts(fields: Fields, key: str) -> tuple[str, ...]:
    return fields.texts(key) if fields.values.get(key) is not None else ()


def _keys(fields: Fields, key: str) -> tuple[str, ...]:
    return tuple(sorted(fields.table(key).values)) if fields.values.get(key) is not None else ()


def _set_only(document: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in document.items() if value or key == "rootfs"}
