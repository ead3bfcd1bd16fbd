"""What a family of FPGAs provides to the hardware: one module for each family.

``generic``   what every family has: plain descriptions that synthesis makes the best of; the base
              of the others, and the questions that they answer
``ecp5``      Lattice ECP5
``gowin``     Gowin GW2A and GW2AR
``ice40``     Lattice iCE40 UltraPlus

An engine's ``dsp`` is the name of its family. Components ask the family for a multiplier, copies
of a register, a multiplexer; none of them asks which family it is::

      component --- multiply, register, choose ---> family --- Instance or plain Amaranth
                                                       |
      simulation <------------- models.v --------------+

A Verilog model beside the module says what its primitives do, for simulation. How a design is
synthesized, placed and packed is in :mod:`tilewright.boards.families`.
"""

from tilewright.hdl.families.generic import Family
from tilewright.registry import Registry

FAMILIES = Registry("tilewright.hdl.families", "FAMILIES", Family, "family of FPGAs")


def get_family(name: str) -> Family:
    """Return what a family provides, by an engine's ``dsp``.

    Raises
    ------
    Error
        If there is none; the message lists those there are.
    """
    return FAMILIES.get(name)


__all__ = ["FAMILIES", "Family", "get_family"]
