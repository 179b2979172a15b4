"""Immutable values: declared and used as frozen dataclasses, but declared in a twentieth of the time.

A dataclass compiles six methods when its module is imported, used or not. `frozen` compiles a method when it is first
called (decision 53). A class that is mutable or needs ``field(…)`` is a dataclass.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    from dataclasses import replace
else:

    def replace(one, /, **changes):
        """Like `dataclasses.replace`, without loading that module."""
        return type(one)(**{name: getattr(one, name) for name in _names(type(one))} | changes)


__all__ = ["frozen", "replace"]

T = TypeVar("T")


@overload
def frozen(cls: type[T], /) -> type[T]: ...
@overload
def frozen(*, kw_only: bool = True, order: bool = False, slots: bool = True) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, kw_only_default=True)
def frozen(
    cls: type[T] | None = None, /, *, kw_only: bool = True, order: bool = False, slots: bool = True
) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a class one of immutable values, as ``dataclass(frozen=True, slots=True, kw_only=True)`` does.

    `order` adds the comparisons. A class with cached properties has no `slots`.
    """

    def decorate(found: type[T]) -> type[T]:
        members = {name: member for name, member in vars(found).items() if name not in ("__dict__", "__weakref__")}
        own = [name for name, kind in members.get("__annotations__", {}).items() if not kind.startswith("ClassVar")]
        defaults = {name: members.pop(name) for name in own if name in members}
        names = (*getattr(found, "__value_names__", ()), *own)
        added = {
            **_METHODS,
            **(_COMPARISONS if order else {}),
            "__match_args__": () if kw_only else names,
            "__value_names__": names,
            "__value_defaults__": {**getattr(found, "__value_defaults__", {}), **defaults},
        }
        if slots:
            make: Callable[..., type[T]] = type(found)
            return make(found.__name__, found.__bases__, {**added, **members, "__slots__": tuple(own)})
        for name in defaults:
            delattr(found, name)
        for name, member in added.items():
            if name not in members:
                setattr(found, name, member)
        return found

    return decorate if cls is None else decorate(cls)


def _names(cls: type) -> tuple[str, ...]:
    names: tuple[str, ...] = cls.__value_names__  # type: ignore[attr-defined]
    return names


def _compiled(name: str, source: Callable[[type], str]) -> Callable[..., object]:
    """Return a method that compiles its source for a class when it is first called, and takes its own place there."""

    def first(self: object, *arguments: object, **options: object) -> object:
        cls = type(self)
        scope = {f"set_{field}": getattr(cls, field).__set__ for field in _names(cls) if hasattr(cls, field)}
        scope["defaults"] = cls.__value_defaults__  # type: ignore[attr-defined]
        exec(source(cls), scope)
        setattr(cls, name, scope[name])
        return scope[name](self, *arguments, **options)

    return first


def _init(cls: type) -> str:
    names, defaults = _names(cls), cls.__value_defaults__  # type: ignore[attr-defined]
    parameters = [f"{name}=defaults[{name!r}]" if name in defaults else name for name in names]
    star = [] if cls.__match_args__ else ["*"]  # type: ignore[attr-defined]
    sets = [
        f"set_{name}(self, {name})" if hasattr(cls, name) else f"self.__dict__[{name!r}] = {name}" for name in names
    ]
    check = ["self.__post_init__()"] if hasattr(cls, "__post_init__") else []
    return f"def __init__({', '.join(['self', *star, *parameters])}):\n {'; '.join([*sets, *check])}"


def _fields(cls: type, of: str) -> str:
    return "".join(f"{of}.{name}," for name in _names(cls))


def _comparison(name: str, operator: str) -> Callable[..., object]:
    return _compiled(
        name,
        lambda cls: (
            f"def {name}(self, other):\n"
            f" if other.__class__ is not self.__class__: return NotImplemented\n"
            f" return ({_fields(cls, 'self')}) {operator} ({_fields(cls, 'other')})"
        ),
    )


def _repr(self: object) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in _names(type(self)))
    return f"{type(self).__qualname__}({fields})"


def _refuse(self: object, name: str, *_: object) -> None:
    raise AttributeError(f"{type(self).__name__}.{name} cannot be changed: it belongs to a value")


def _reduce(self: object) -> tuple[object, ...]:
    return _restore, (type(self), {name: getattr(self, name) for name in _names(type(self))})


class _OfDataclass:
    """An attribute that `dataclasses` or `inspect` look up: made from a dataclass of the same fields."""

    def __init__(self, name: str, read: Callable[[type], object]) -> None:
        self._name, self._read = name, read

    def __get__(self, one: object, cls: type) -> object:
        from dataclasses import field, make_dataclass
        from functools import partial

        kinds: dict[str, str] = {}
        for base in reversed(cls.__mro__):
            kinds |= vars(base).get("__annotations__", {})
        options = {
            name: field(default=default)
            if isinstance(default, Hashable)
            else field(default_factory=partial(_same, default))
            for name, default in cls.__value_defaults__.items()  # type: ignore[attr-defined]
        }
        fields = [(name, kinds[name], options.get(name, field())) for name in _names(cls)]
        found = self._read(make_dataclass(cls.__name__, fields, kw_only=not cls.__match_args__))  # type: ignore[attr-defined]
        setattr(cls, self._name, found)
        return found


def _same(one: T) -> T:
    return one


def _signature(cls: type) -> object:
    from inspect import signature

    return signature(cls)


def _restore(cls: type[T], fields: dict[str, object]) -> T:
    return cls(**fields)


_METHODS: dict[str, object] = {
    "__init__": _compiled("__init__", _init),
    "__eq__": _comparison("__eq__", "=="),
    "__hash__": _compiled("__hash__", lambda cls: f"def __hash__(self): return hash(({_fields(cls, 'self')}))"),
    "__dataclass_fields__": _OfDataclass("__dataclass_fields__", attrgetter("__dataclass_fields__")),
    "__signature__": _OfDataclass("__signature__", _signature),
    "__repr__": _repr,
    "__reduce__": _reduce,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
}
_COMPARISONS = {
    "__lt__": _comparison("__lt__", "<"),
    "__le__": _comparison("__le__", "<="),
    "__gt__": _comparison("__gt__", ">"),
    "__ge__": _comparison("__ge__", ">="),
}
