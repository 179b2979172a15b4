"""Reading parsed TOML as typed values. A mistake is noted with its key path, and reading goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vstore.errors import nearest
from vstore.values import frozen

_SHOWN = 60  # characters of a faulty value


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistakes:
    """The mistakes of a spec, each with its hint or ``""``, and the warnings, in the order of the file.

    `spec` is the name of the file, for commands in hints.
    """

    spec: str = ""
    found: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def add(self, key: str, text: str, hint: str = "") -> None:
        """Add a mistake, once. `text` may have more lines, such as a caret below a value."""
        self.found[f"{key}: {text}"] = hint

    def warn(self, key: str, text: str) -> None:
        """Add a warning."""
        self.warnings.append(f"{key}: {text}")


@frozen
class Table:
    """A TOML table at the path `key`. `label` helps to find it: the name of a layer, for instance."""

    values: Mapping[str, object]
    key: str
    mistakes: Mistakes
    label: str = ""

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def add_mistake(self, key: str, text: str, hint: str = "") -> None:
        """Add a mistake at `key` below this table. An empty `key` is the table itself."""
        first, newline, rest = text.partition("\n")
        label = f" (in {quote(self.label)})" if self.label else ""
        self.mistakes.add(self.path(key), f"{first}{label}{newline}{rest}", hint)

    def add_warning(self, key: str, text: str) -> None:
        """Add a warning at `key` below this table."""
        self.mistakes.warn(self.path(key), text)

    def path(self, key: str) -> str:
        """Return the full path of a key."""
        return ".".join(part for part in (self.key, key) if part)

    def add_missing(self, key: str, expected: str) -> None:
        """Add the mistake that a key is missing."""
        self.add_mistake(key, f"missing '{key}', expected {expected}")

    def string(self, key: str, *, required: str = "") -> str | None:
        """Return a string. Return None if it is missing, which is a mistake if `required` names the expected value."""
        if key not in self.values:
            if required:
                self.add_missing(key, required)
            return None
        value = self.values[key]
        if isinstance(value, str):
            return value
        self._mismatch(key, value, required or "a string")
        return None

    def boolean(self, key: str) -> bool:
        """Return a boolean, False if it is missing."""
        value = self.values.get(key, False)
        if isinstance(value, bool):
            return value
        self._mismatch(key, value, "true or false")
        return False

    def strings(self, key: str, *, required: bool = False) -> tuple[str, ...] | None:
        """Return an array of strings without the items of other types. Return None if it is missing."""
        if key not in self.values:
            if required:
                self.add_missing(key, "an array of strings")
            return None
        value = self.values[key]
        if not isinstance(value, list):
            self._mismatch(key, value, "an array of strings")
            return None
        for number, item in enumerate(value):
            if not isinstance(item, str):
                self._mismatch(f"{key}[{number}]", item, "a string")
        return tuple(item for item in value if isinstance(item, str))

    def table(self, key: str) -> Table | None:
        """Return the table at `key`. Return None if it is missing."""
        if key not in self.values:
            return None
        value = self.values[key]
        if isinstance(value, dict):
            return Table(values=value, key=self.path(key), mistakes=self.mistakes, label=self.label)
        self._mismatch(key, value, "a table")
        return None

    def tables(self, key: str) -> tuple[Table, ...]:
        """Return the tables of an array of tables, none if it is missing."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            self._mismatch(key, value, f"an array of tables, each starting with [[{self.path(key)}]]")
            return ()
        for number, item in enumerate(value):
            if not isinstance(item, dict):
                self._mismatch(f"{key}[{number}]", item, "a table")
        return tuple(
            Table(values=item, key=f"{self.path(key)}[{number}]", mistakes=self.mistakes, label=_name(item))
            for number, item in enumerate(value)
            if isinstance(item, dict)
        )

    def string_table(self, key: str) -> dict[str, str]:
        """Return a table of strings without the entries of other types, empty if it is missing."""
        table = self.table(key)
        if table is None:
            return {}
        for name, value in table.values.items():
            if not isinstance(value, str):
                table._mismatch(name, value, "a string")
        return {name: value for name, value in table.values.items() if isinstance(value, str)}

    def only(self, known: Iterable[str], elsewhere: Mapping[str, str] | None = None) -> None:
        """Add a mistake for each key that is not `known`. `elsewhere` names the kinds of layer that have a key."""
        allowed = list(known)
        for key in self.values:
            if key in allowed:
                continue
            near = nearest(key, allowed)
            where = (elsewhere or {}).get(key)
            if where:
                self.add_mistake(key, f"unknown key here, only {where} have it")
            elif near:
                self.add_mistake(key, f'unknown key, did you mean "{near}"?')
            else:
                self.add_mistake(key, f"unknown key, expected one of {', '.join(sorted(allowed))}")

    def _mismatch(self, key: str, value: object, expected: str) -> None:
        self.add_mistake(key, f"found {describe(value)}, expected {expected}")


def quote(text: str) -> str:
    """Return the text in double quotes, shortened, with control characters escaped."""
    import json

    return json.dumps(text if len(text) <= _SHOWN else text[:_SHOWN] + "…", ensure_ascii=False)


def describe(value: object) -> str:
    """Describe a TOML value for a message."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f"the string {quote(value)}"
        case int() | float():
            return f"the number {value}"
        case list():
            return "an array"
        case dict():
            return "a table"
        case _:
            return f"the date or time {value}"


def _name(item: Mapping[str, object]) -> str:
    name = item.get("name")
    return name if isinstance(name, str) else ""
