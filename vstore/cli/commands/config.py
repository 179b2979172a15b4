"""`vstore config`: the keys of config.toml. `vstore schema`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command, command_group
from vstore.cli.settings import Settings
from vstore.cli.text import table
from vstore.errors import NotFoundError

if TYPE_CHECKING:
    from vstore.api.config import ConfigFile, Setting
    from vstore.cli.documents.settings import ConfigPathDocument, SettingDocument


@command_group("config", default="list")
def config_command() -> None:
    """The file is `config.toml` in the root of the store. Without a subcommand all keys are listed.

    KEY is written as in TOML: `gc.keep`, `caches.near.url`. Comments and order of the file are kept.
    """


def _file(settings: Settings) -> ConfigFile:
    """Open the file, and warn of the keys in it that vstore does not know."""
    from vstore.api.config import ConfigFile
    from vstore.api.stores import StoreLayout

    found = ConfigFile(StoreLayout(settings.location()).config_file)
    for one in found.settings():
        if one.key is None:
            settings.reporter.warn(f"{found.path}: {one.name}: no such key", hint=one.hint or None)
    return found


def _document(one: Setting, *, hides: bool = True) -> SettingDocument:
    """Return a setting as its document. With `hides` the options of caches and logins in URLs are hidden."""
    return {
        "key": one.name,
        "value": _without_secrets(one) if hides else one.value,  # type: ignore[typeddict-item]
        "default": one.key.default or None if one.key else None,
        "expected": one.key.kind.expected if one.key else None,
        "meaning": one.key.meaning if one.key else None,
    }


def _without_secrets(one: Setting) -> object:
    from vstore.credentials import HIDDEN, redact

    if one.value is not None and (".options." in one.name or one.name.endswith(".options")):
        return HIDDEN
    return redact(one.value) if isinstance(one.value, str) else one.value


@command("list", group=config_command)
def list_command(settings: Settings) -> None:
    """List all keys with their values and defaults. Options of caches are hidden, as they may be secret."""
    documents = [_document(one) for one in _file(settings).settings()]
    rows = [{**one, "value": _text(one["value"])} for one in documents]
    columns = {"key": "key", "value": "value", "default": "default", "meaning": "meaning"}
    settings.emit(documents, lambda: table(rows, columns))


@command("get", group=config_command)
@click.argument("config_key", metavar="KEY")
def get_command(settings: Settings, config_key: str) -> None:
    """Print the value of KEY, or its default. The exit code is 13 if it has neither."""
    one = _file(settings).get(config_key)
    assert one.key is not None
    if one.value is None and not one.key.default:
        raise NotFoundError(f"{one.name} is not set", hint=f"`vstore config set {one.name} VALUE` sets it")
    text = one.key.default.strip('"') if one.value is None else _text(one.value)
    settings.emit(_document(one, hides=False), lambda: text)


@command("set", group=config_command)
@click.argument("config_key", metavar="KEY")
@click.argument("values", metavar="VALUE…", nargs=-1, required=True)
@click.option("--append", is_flag=True, help="Add VALUE to the list, do not replace it.")
def set_command(settings: Settings, config_key: str, values: tuple[str, ...], append: bool) -> None:
    """Set KEY. A list has several VALUEs. A value that is not valid is refused, and the file stays as it is."""
    document = _document(_file(settings).set(config_key, values, append=append))
    settings.emit(document, lambda: f"{document['key']} = {_text(document['value'])}")


@command("unset", group=config_command)
@click.argument("config_key", metavar="KEY")
def unset_command(settings: Settings, config_key: str) -> None:
    """Remove KEY from the file, so that its default applies."""
    one = _file(settings).unset(config_key)
    default = f"; its default is {one.key.default}" if one.key and one.key.default else ""
    settings.emit(_document(one), lambda: f"{one.name} is not set any more{default}")


@command("path", group=config_command)
def path_command(settings: Settings) -> None:
    """Print the path of the file, which need not exist."""
    from vstore.api.stores import StoreLayout

    path = StoreLayout(settings.location()).config_file
    document: ConfigPathDocument = {"path": str(path), "exists": path.exists()}
    settings.emit(document, lambda: str(path))


@command("schema")
@click.argument("name", metavar="spec|config", type=click.Choice(["spec", "config"]))
def schema_command(settings: Settings, name: str) -> None:
    """Editors check and complete TOML files by it: write it to a file, and name the file in the first line of the spec,
    `#:schema FILE`. It is of draft 7.
    """
    from vstore.api.config import config_schema
    from vstore.api.specs import spec_schema

    document = spec_schema() if name == "spec" else config_schema()
    settings.emit(document, lambda: json.dumps(document, indent=2))


def _text(value: object) -> str:
    """Return a value as it would be given to `set`."""
    return " ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
