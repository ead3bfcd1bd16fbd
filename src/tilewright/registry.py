"""What the modules of a package offer, by name: a file that is put there is found."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from tilewright.errors import Error

__all__ = ["Registry", "source_of"]


class Named(Protocol):
    """Something with a name."""

    @property
    def name(self) -> str:
        """How it is asked for."""


T = TypeVar("T", bound=Named)


def source_of(thing: object) -> str:
    """Return the text of the module that a thing's type is in, for what is cached by it."""
    return Path(inspect.getfile(type(thing))).read_text()


class Registry(Generic[T]):
    """The things that a package's modules list, each in a tuple of one name.

    Parameters
    ----------
    package : str, import name of the package
    attribute : str, of each module: a tuple of things
    kind : type of the things
    what : str, what one is, for messages
    """

    def __init__(self, package: str, attribute: str, kind: type[T], what: str) -> None:
        self._package, self._attribute, self._kind = package, attribute, kind
        self._what = what
        self._found: dict[tuple[str, ...], dict[str, T]] = {}

    def all(self) -> dict[str, T]:
        """Return everything by name, in the order of the modules' names.

        Raises
        ------
        Error
            If a module lists nothing, or something else, or two things have one name.
        """
        folders = tuple(importlib.import_module(self._package).__path__)
        if folders not in self._found:
            self._found[folders] = self._look(folders)
        return self._found[folders]

    def get(self, name: str) -> T:
        """Return the thing of a name.

        Raises
        ------
        Error
            If there is none; the message lists those there are.
        """
        found = self.all()
        if name not in found:
            raise Error(f"there is no {self._what} {name!r}; there are {', '.join(sorted(found))}")
        return found[name]

    def _look(self, folders: tuple[str, ...]) -> dict[str, T]:
        found: dict[str, T] = {}
        for module in sorted(info.name for info in pkgutil.iter_modules(folders)):
            name = f"{self._package}.{module}"
            things = getattr(importlib.import_module(name), self._attribute, ())
            if not things:
                raise Error(f"{name} lists no {self._what} in {self._attribute}")
            for thing in things:
                if not isinstance(thing, self._kind):
                    raise Error(f"{name}.{self._attribute} has {thing!r}, which is no {self._what}")
                if thing.name in found:
                    raise Error(f"there are two of the {self._what} {thing.name!r}, one in {name}")
                found[thing.name] = thing
        return found
