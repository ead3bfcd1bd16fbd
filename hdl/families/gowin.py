"""Gowin GW2A and GW2AR (Arora).

Source: Gowin UG287, Gowin DSP User Guide; Yosys, techlibs/gowin, for the flip-flop.
"""

from pathlib import Path
from typing import ClassVar

from amaranth.hdl import ClockSignal, Const, Instance, Signal

from tilewright.hdl.families.generic import Family, placed

__all__ = ["FAMILIES", "Gowin"]


class Gowin(Family):
    """MULT18X18 with its registers, and DFF."""

    name: ClassVar[str] = "gowin"
    model: ClassVar[Path] = Path(__file__).with_suffix(".v")

    def multiply(self, m, a_in, b_in, p_out, place):
        """Add a MULT18X18: inference leaves the registers outside, and gowin_pack rejects it."""
        a, b, p = Signal(18), Signal(18), Signal(36)
        # Sign- or zero-extension to 18 bits follows from the shapes.
        m.d.comb += [a.eq(a_in), b.eq(b_in), p_out.eq(p)]
        zero, one = Const(0), Const(1)
        m.submodules.dsp = Instance(
            "MULT18X18",
            p_AREG=one,
            p_BREG=one,
            p_OUT_REG=one,
            p_PIPE_REG=zero,
            p_ASIGN_REG=zero,
            p_BSIGN_REG=zero,
            p_SOA_REG=zero,
            p_MULT_RESET_MODE="SYNC",
            i_CLK=ClockSignal(),
            i_CE=one,
            i_RESET=zero,
            i_A=a,
            i_B=b,
            i_ASIGN=Const(int(a_in.shape().signed)),
            i_BSIGN=Const(int(b_in.shape().signed)),
            # From the block beside, which nothing here uses.
            i_SIA=Const(0, 18),
            i_SIB=Const(0, 18),
            i_ASEL=zero,
            i_BSEL=zero,
            o_DOUT=p,
            **placed(place),
        )

    def register(self, m, name, d, q):
        """Add a DFF for each bit: as an instance, Yosys does not merge it."""
        for bit in range(len(d)):
            m.submodules[f"{name}_{bit}"] = Instance(
                "DFF", i_CLK=ClockSignal(), i_D=d[bit], o_Q=q[bit]
            )


FAMILIES = (Gowin(),)
