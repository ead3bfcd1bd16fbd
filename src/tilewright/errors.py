"""Errors that a user can act on; the command line prints them without a traceback."""

from collections.abc import Collection


class Error(Exception):
    """Base of every error that Tilewright raises about its user's input."""


class ArgumentError(Error, TypeError):
    """A value of a type that its parameter does not take; the message names the parameter."""


def require_type(owner: str, name: str, value: object, *kinds: type) -> None:
    """Refuse an argument that is of none of ``kinds``; True and False are no integers here.

    Raises
    ------
    ArgumentError
        Naming ``owner`` and the parameter.
    """
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        shown = repr(value)
        shown = shown if len(shown) < 80 else f"{shown[:76]} ..."
        raise ArgumentError(
            f"{owner}: {name} must be {names}, not {shown} ({type(value).__name__})"
        )


def require_choice(owner: str, name: str, value: object, choices: Collection[str]) -> None:
    """Refuse a word that is none of ``choices``.

    Raises
    ------
    ArgumentError
        Naming ``owner``, the parameter and the choices.
    """
    if not isinstance(value, str) or value not in choices:
        words = ", ".join(map(repr, choices))
        raise ArgumentError(f"{owner}: {name} must be one of {words}, not {value!r}")


class UnsupportedError(Error):
    """A model asks for something that no pass handles.

    Parameters
    ----------
    where : str
        Module path of the layer, as in ``model.named_modules()``.
    what : str
        The attribute or operator, with its value.
    remedy : str
        A rewrite that would work.
    """

    def __init__(self, where: str, what: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.where = where
        self.what = what
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[Error], tuple[str, str, str]]:
        """Pickle by the constructor's arguments, so that it comes back from other processes."""
        return type(self), (self.where, self.what, self.remedy)
