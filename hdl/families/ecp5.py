"""Lattice ECP5.

Source: Lattice FPGA-TN-02205, ECP5 and ECP5-5G sysDSP Usage Guide; Yosys, techlibs/ecp5 and
techlibs/lattice, for the cells that have no guide.
"""

from pathlib import Path
from typing import ClassVar

from amaranth.hdl import Array, ClockSignal, Const, Instance, Module, Signal

from tilewright.hdl.families.generic import Family, placed

__all__ = ["ECP5", "FAMILIES"]


class ECP5(Family):
    """MULT18X18D with its registers, TRELLIS_FF, and the multiplexers behind look-up tables."""

    name: ClassVar[str] = "ecp5"
    model: ClassVar[Path] = Path(__file__).with_suffix(".v")

    #: Words of a multiplexer of the largest kind.
    LARGEST = 8

    def multiply(self, m, a_in, b_in, p_out, place):
        """Add a MULT18X18D: inference leaves the registers outside, which costs fmax."""
        m.submodules.dsp = self._mult18x18d(a_in, b_in, p_out, place)

    def _mult18x18d(self, a_in, b_in, p_out, place):
        a, b, p = Signal(18), Signal(18), Signal(36)
        m = Module()
        # Sign- or zero-extension to 18 bits follows from the shapes.
        m.d.comb += [a.eq(a_in), b.eq(b_in), p_out.eq(p)]
        zero = Const(0)
        # SRIA and SRIB, the shift chain's inputs, cannot be routed to a constant: leave them open.
        # C, which serves only a dynamic SOURCEB, stays open too: its zeros would have to be routed.
        ports = {"i_SIGNEDA": Const(int(a_in.shape().signed)), "o_SIGNEDP": Signal()}
        ports["i_SIGNEDB"] = Const(int(b_in.shape().signed))
        ports |= {"i_SOURCEA": zero, "i_SOURCEB": zero}
        for i in range(18):
            ports |= {f"i_A{i}": a[i], f"i_B{i}": b[i]}
        for i in range(36):
            ports[f"o_P{i}"] = p[i]
        for i in range(4):
            ports |= {
                f"i_CLK{i}": ClockSignal() if i == 0 else zero,
                f"i_CE{i}": Const(1),
                f"i_RST{i}": zero,
            }
        parameters = {
            "p_REG_INPUTA_CLK": "CLK0",
            "p_REG_INPUTB_CLK": "CLK0",
            "p_REG_OUTPUT_CLK": "CLK0",
            "p_REG_PIPELINE_CLK": "NONE",
            "p_REG_INPUTC_CLK": "NONE",
            "p_GSR": "DISABLED",
            "p_RESETMODE": "SYNC",
        }
        m.submodules.mult = Instance("MULT18X18D", **parameters, **ports, **placed(place))
        return m

    def register(self, m, name, d, q):
        """Add a TRELLIS_FF for each bit: nextpnr's register, which Yosys does not merge."""
        for bit in range(len(d)):
            m.submodules[f"{name}_{bit}"] = Instance(
                "TRELLIS_FF",
                p_GSR="DISABLED",
                p_CEMUX="1",
                p_CLKMUX="CLK",
                p_LSRMUX="LSR",
                p_REGSET="RESET",
                i_CLK=ClockSignal(),
                i_LSR=Const(0),
                i_DI=d[bit],
                o_Q=q[bit],
            )

    def choose(self, m, words, index, o):
        """Add the multiplexers that join look-up tables.

        Up to eight words take half a look-up table each and no wires between them, where Yosys
        takes more, with wires.
        """
        chosen = [
            self._join(m, f"{at}", words[at : at + self.LARGEST], index, len(o))
            for at in range(0, len(words), self.LARGEST)
        ]
        above = index[self.LARGEST.bit_length() - 1 :]
        m.d.comb += o.eq(Array(chosen)[above])

    def _join(self, m, name, words, index, width):
        """Return one of up to ``LARGEST`` words, by the low bits of the index."""
        # A tree is whole; what fills it up makes no two look-up tables the same.
        fill = words[(len(words) + 1) % 2 :]
        words = [*words, *fill][: 1 << (len(words) - 1).bit_length()]
        for level in range((len(words) - 1).bit_length()):
            pairs = zip(words[::2], words[1::2], strict=True)
            words = [
                self._mux(m, f"mux_{name}_{level}_{k}", level, pair, index[level], width)
                for k, pair in enumerate(pairs)
            ]
        return words[0]

    def _mux(self, m, name, level, pair, select, width):
        o = Signal(width, name=name)
        for bit in range(width):
            low, high = (word[bit] for word in pair)
            kinds = (
                {"p_INIT": 0xCACA, "i_A": low, "i_B": high, "i_C": select, "i_D": Const(0)},
                {"i_BLUT": low, "i_ALUT": high, "i_C0": select},
                {"i_D0": low, "i_D1": high, "i_SD": select},
            )
            primitive = ("LUT4", "PFUMX", "L6MUX21")[level]
            m.submodules[f"{name}_{bit}"] = Instance(primitive, o_Z=o[bit], **kinds[level])
        return o


FAMILIES = (ECP5(),)
