"""Planted faults: what a proof that is worth its name must find."""

import inspect
import textwrap
from dataclasses import dataclass

import pytest

__all__ = ["Fault"]


@dataclass(frozen=True)
class Fault:
    """A method of a component, wrong in one place.

    Parameters
    ----------
    owner : type     the component
    right, wrong : str   what stands in the method exactly once, and what stands there instead
    broken : str     message of the assertion that must fail
    method : str
    """

    owner: type
    right: str
    wrong: str
    broken: str
    method: str = "elaborate"

    def __str__(self) -> str:
        return f"{self.owner.__name__}: {self.right} -> {self.wrong}"

    def plant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put the wrong method in the right one's place."""
        method = getattr(self.owner, self.method)
        source = textwrap.dedent(inspect.getsource(method))
        assert source.count(self.right) == 1, f"{self}: {source.count(self.right)} places"
        space: dict[str, object] = {}
        exec(source.replace(self.right, self.wrong), method.__globals__, space)
        monkeypatch.setattr(self.owner, self.method, space[self.method])
