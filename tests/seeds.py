"""Seeds of random cases: a part of them in `make test`, the others in `make test-all`."""

from __future__ import annotations

import pytest


def seeds(first: int, most: int) -> pytest.MarkDecorator:
    """Return the parameter ``cases`` of a test: ranges of seeds that are apart.

    Parameters
    ----------
    first : seeds that every run draws
    most : seeds in all; those from ``first`` on are marked exhaustive
    """
    others = pytest.param(range(first, most), marks=pytest.mark.exhaustive)
    return pytest.mark.parametrize(
        "cases", [range(first), others], ids=[f"0-{first - 1}", f"{first}-{most - 1}"]
    )
