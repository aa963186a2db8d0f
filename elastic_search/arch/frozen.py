"""Frozen values whose classes cost nothing at the start.

``dataclasses`` compiles code for every class at every start; where a class is met in every command, it is made here.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any, ClassVar, Self, dataclass_transform

_REQUIRED: Any = object()


@dataclass_transform(frozen_default=True)
class Frozen:
    """Base of values whose fields are written as a dataclass's."""

    FIELDS: ClassVar[dict[str, Any]] = {}
    """Names of the fields with their defaults."""

    def __init_subclass__(cls) -> None:
        own = {name: cls.__dict__.get(name, _REQUIRED) for name in cls.__annotations__}
        cls.FIELDS = {**cls.FIELDS, **own}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names = self.FIELDS
        given = dict(zip(names, args, strict=False)) | kwargs
        values = {name: given.get(name, default) for name, default in names.items()}
        if len(args) + len(kwargs) != len(given) or len(given.keys() | names.keys()) != len(names):
            raise TypeError(f"{type(self).__name__} takes {', '.join(names)}; got {args} and {kwargs}")
        missing = [name for name, value in values.items() if value is _REQUIRED]
        if missing:
            raise TypeError(f"{type(self).__name__} needs {', '.join(missing)}")
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenInstanceError(f"{type(self).__name__}.{name} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"{type(self).__name__}.{name} cannot be removed")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    def edited(self, **changes: Any) -> Self:
        """The same value with other fields."""
        return type(self)(**{**self.__dict__, **changes})
