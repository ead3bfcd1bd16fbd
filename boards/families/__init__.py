"""How a family of FPGAs is synthesized, placed, routed and packed: one module for each family.

``ecp5``   Lattice ECP5
``gowin``  Gowin GW2AR
``ice40``  Lattice iCE40 UltraPlus

What a family provides to the hardware is in :mod:`tilewright.hdl.families`, by the same names.
"""

from tilewright.boards.family import Family
from tilewright.registry import Registry

FAMILIES = Registry("tilewright.boards.families", "FAMILIES", Family, "family of FPGAs")  # type: ignore[type-abstract]


def get_family(name: str) -> Family:
    """Return the flow of a family.

    Raises
    ------
    Error
        If there is none; the message lists those there are.
    """
    return FAMILIES.get(name)


__all__ = ["FAMILIES", "Family", "get_family"]
