"""What the proofs share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from amaranth.lib import wiring

from tests.formal.faults import Fault
from tests.formal.proofs import Verdict, prove

Prove = Callable[..., None]


@pytest.fixture
def holds(tmp_path: Path) -> Prove:
    """Return a function that asserts that all assertions of a component hold."""

    def check(component: wiring.Component, *, depth: int | None = None) -> None:
        assert prove(component, tmp_path, depth=depth) == Verdict()

    return check


@pytest.fixture
def finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prove:
    """Return a function that asserts that the assertion that names a fault fails, and first."""

    def check(fault: Fault, component: wiring.Component, *, depth: int = 16) -> None:
        fault.plant(monkeypatch)
        assert prove(component, tmp_path, depth=depth).broken == fault.broken

    return check
