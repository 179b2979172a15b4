"""One object of the store, as an SBOM sees it: its files, and the origin that its manifest file states."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from vstore.build.layer_metadata import Distribution, LayerMetadata, read_metadata
from vstore.documents import FieldError, Fields
from vstore.fs.trees.manifest import Manifest
from vstore.objects import LAYER_FILE, ObjectInfo, StorePath
from vstore.sbom.texts import web_url
from vstore.store import Store
from vstore.values import frozen


class StatedOrigin(NamedTuple):
    """The URL, without login, and the name of a file that an object was made from, as far as they are known."""

    url: str | None = None
    filename: str | None = None


@frozen(slots=False)
class StoredObject:
    """An object. `recipe` and `origins` may come from another machine and hold anything."""

    info: ObjectInfo
    folder: Path
    manifest: Manifest
    recipe: Fields | None
    origins: Fields

    @classmethod
    def read(cls, store: Store, info: ObjectInfo) -> StoredObject:
        """Read the manifest of an object. Raises StoreError if it is damaged."""
        manifest, metadata = store.manifest(info.path)
        recipe, origins = metadata.get("recipe_text"), metadata.get("origins")
        return cls(
            info=info,
            folder=store.layout.object(info.path),
            manifest=manifest,
            recipe=Fields(recipe) if isinstance(recipe, dict) else None,
            origins=Fields(origins if isinstance(origins, dict) else {}),
        )

    @property
    def key(self) -> str:
        """The identifier of the object in a document."""
        return str(self.info.path)

    def distribution_key(self, distribution: Distribution) -> str:
        """Return the identifier of a distribution in a document."""
        return f"{self.key}#{distribution.name}"

    @cached_property
    def metadata(self) -> LayerMetadata | None:
        """The metadata of a layer, None for another object. Raises StoreError if they are damaged."""
        return read_metadata(self.folder) if (self.folder / LAYER_FILE).exists() else None

    @cached_property
    def references(self) -> tuple[StorePath, ...]:
        """The objects that it refers to: first the layers below that its recipe names, nearest first."""
        stated: tuple[str, ...] = ()
        with suppress(FieldError):
            stated = self.recipe.texts("lowers") if self.recipe else ()
        order = {name: number for number, name in enumerate(stated)}
        return tuple(sorted(self.info.references, key=lambda one: (order.get(str(one), len(order)), one)))

    def stated(self, key: str) -> str | None:
        """Return a text of the recipe, None if it is not known."""
        with suppress(FieldError):
            return self.recipe.optional_text(key) if self.recipe else None
        return None

    def origin(self, sha256: str | None) -> StatedOrigin:
        """Return the origin of a file by its SHA-256 digest."""
        with suppress(FieldError):
            found = self.origins.table(sha256 or "")
            return StatedOrigin(web_url(found.optional_text("url")), found.optional_text("filename"))
        return StatedOrigin()
