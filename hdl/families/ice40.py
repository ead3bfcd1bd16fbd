"""Lattice iCE40 UltraPlus.

Source: Lattice FPGA-TN-02007, DSP Function Usage Guide for iCE40 Devices; FPGA-TN-02022, iCE40
SPRAM Usage Guide.
"""

from pathlib import Path
from typing import ClassVar

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Mux, Signal

from tilewright.hdl.families.generic import Family, placed
from tilewright.isa import EngineConfig
from tilewright.isa.config import ConfigError

__all__ = ["FAMILIES", "ICE40"]


class ICE40(Family):
    """SB_MAC16, one product of words or two of bytes, and four SB_SPRAM256KA."""

    name: ClassVar[str] = "ice40"
    operand_width: ClassVar[int] = 16
    columns_per_multiplier: ClassVar[int] = 2
    block_bits: ClassVar[int] = 4096
    large_bytes: ClassVar[int] = 4 * 32 * 1024
    model: ClassVar[Path] = Path(__file__).with_suffix(".v")

    def check(self, config: EngineConfig) -> None:
        """Refuse operands of other widths than 9 and 8 bits: halves of the primitive are bytes."""
        for parameter, only in (("weight_bits", 8), ("data_width", 9), ("kernel_width", 8)):
            if (value := getattr(config, parameter)) != only:
                raise ConfigError(
                    f"{parameter} must be {only} with dsp {self.name!r}, whose multipliers serve "
                    f"two columns with bytes, not {value!r}"
                )
        if config.wide_maps:
            raise ConfigError(f"wide_maps must be False with dsp {self.name!r}")
        if config.multiplies_maps:
            raise ConfigError(f"products must be False with dsp {self.name!r} and pipelined=True")

    def multiply(self, m, a_in, b_in, p_out, place):
        """Add an SB_MAC16 with its registers: inference leaves them outside."""
        a, b, p = Signal(16), Signal(16), Signal(32)
        m.d.comb += [a.eq(a_in), b.eq(b_in), p_out.eq(p)]
        m.submodules.dsp = self._sb_mac16(
            a,
            b,
            p,
            p_A_SIGNED=Const(int(a_in.shape().signed), 1),
            p_B_SIGNED=Const(int(b_in.shape().signed), 1),
            p_PIPELINE_16x16_MULT_REG2=Const(1, 1),
            p_TOPOUTPUT_SELECT=Const(3, 2),
            p_BOTOUTPUT_SELECT=Const(3, 2),
            **placed(place),
        )

    def multiply_two(self, m, a_in, b_in, p_out, place):
        """Add an SB_MAC16 whose halves multiply bytes, signed.

        An activation above 127 counts for 256 less there; the primitive's adders make up for it.
        """
        lost = [Signal(8, name=f"lost_{k}", reset_less=True) for k in range(2)]
        for a, byte in zip(a_in, lost, strict=True):
            m.d.sync += byte.eq(Mux(a[7] & ~a[8], b_in, 0))
        one = Const(1, 1)
        m.submodules.dsp = self._sb_mac16(
            Cat(a[:8] for a in a_in),
            Cat(b_in, b_in),
            p_out.as_value(),
            i_C=Cat(Const(0, 8), lost[1]),
            i_D=Cat(Const(0, 8), lost[0]),
            p_C_REG=one,
            p_D_REG=one,
            p_MODE_8x8=one,
            p_A_SIGNED=one,
            p_B_SIGNED=one,
            p_TOP_8x8_MULT_REG=one,
            p_BOT_8x8_MULT_REG=one,
            p_TOPADDSUB_LOWERINPUT=Const(1, 2),
            p_BOTADDSUB_LOWERINPUT=Const(1, 2),
            p_TOPADDSUB_UPPERINPUT=one,
            p_BOTADDSUB_UPPERINPUT=one,
            p_TOPOUTPUT_SELECT=Const(1, 2),
            p_BOTOUTPUT_SELECT=Const(1, 2),
            **placed(place),
        )

    def _sb_mac16(self, a, b, p, **parameters):
        """Return an SB_MAC16 with input registers."""
        zeros = ("AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT")
        zeros += ("OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT")
        zeros += ("CI", "ACCUMCI", "SIGNEXTIN")
        defaults = {"p_A_REG": Const(1, 1), "p_B_REG": Const(1, 1)}
        defaults |= {"i_C": Const(0, 16), "i_D": Const(0, 16)}
        defaults |= {f"i_{name}": Const(0) for name in zeros}
        return Instance(
            "SB_MAC16",
            i_CLK=ClockSignal(),
            i_CE=Const(1),
            i_A=a,
            i_B=b,
            o_O=p,
            **(defaults | parameters),
        )

    def large_memory(self, m, word, given, enable, shown):
        """Add four SB_SPRAM256KA: two banks of two halves of a word."""
        bank = Signal()
        m.d.sync += bank.eq(word[-1])
        outputs = []
        for b in range(2):
            halves = []
            for half in range(2):
                o = Signal(16, name=f"o_{b}_{half}")
                m.submodules[f"spram_{b}_{half}"] = Instance(
                    "SB_SPRAM256KA",
                    i_CLOCK=ClockSignal(),
                    i_ADDRESS=word[:-1],
                    i_DATAIN=given[16 * half : 16 * half + 16],
                    i_MASKWREN=Const(0xF, 4),
                    i_WREN=enable & (word[-1] == b),
                    i_CHIPSELECT=Const(1),
                    i_STANDBY=Const(0),
                    i_SLEEP=Const(0),
                    i_POWEROFF=Const(1),  # active low
                    o_DATAOUT=o,
                )
                halves.append(o)
            outputs.append(Cat(halves))
        m.d.comb += shown.eq(Mux(bank, outputs[1], outputs[0]))


FAMILIES = (ICE40(),)
