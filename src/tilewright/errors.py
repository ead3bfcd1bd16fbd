"""Errors that a user can act on; the command line prints them without a traceback."""


class Error(Exception):
    """Base of every error that Tilewright raises about its user's input."""


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
