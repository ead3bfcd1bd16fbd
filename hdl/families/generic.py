"""Any family: what synthesis makes of plain descriptions."""

from pathlib import Path
from typing import ClassVar

from amaranth.hdl import Array, Signal

from tilewright.isa import EngineConfig

__all__ = ["FAMILIES", "Family", "placed"]


class Family:
    """What a family of FPGAs provides; this one leaves everything to synthesis.

    Methods add to the module of the component that calls them. Those that a family does not
    override, it has from here.

    Attributes
    ----------
    name : str, as in an engine's ``dsp``
    operand_width : int, bits that an operand of a multiplier may have, signed or not
    columns_per_multiplier : int, 1 or 2; columns of the array that share a multiplier; with 2,
        there is :meth:`multiply_two`
    block_bits : int, of a block RAM, without parity
    large_bytes : int, of all single-port memories that are larger than block RAMs; 0 if there are
        none, else there is :meth:`large_memory`
    model : Path or None; Verilog of the primitives, for simulation
    """

    name: ClassVar[str] = "inferred"
    operand_width: ClassVar[int] = 18
    columns_per_multiplier: ClassVar[int] = 1
    block_bits: ClassVar[int] = 16384
    large_bytes: ClassVar[int] = 0
    model: ClassVar[Path | None] = None

    def check(self, config: EngineConfig) -> None:
        """Refuse an engine that the family's primitives cannot be.

        Raises
        ------
        ConfigError
            If a parameter is out of the family's range; the message names it.
        """

    def block_width(self, depth):
        """Return the bits of a word that whole block RAMs of so many words have."""
        return max(1, self.block_bits >> (depth - 1).bit_length())

    def multiply(self, m, a_in, b_in, p_out, place):
        """Add a multiplier with registers before and behind it; operands may be signed or not.

        ``place`` is the Place of its instance, or None.
        """
        a, b = Signal.like(a_in, name="a"), Signal.like(b_in, name="b")
        m.d.sync += [a.eq(a_in), b.eq(b_in), p_out.eq(a * b)]

    def multiply_two(self, m, a_in, b_in, p_out, place):
        """Add a multiplier that multiplies two signed(9), at least -128, by one signed(8).

        Its products, each signed(16), come one cycle later than those of :meth:`multiply`.
        """
        raise NotImplementedError(f"{self.name} has no multiplier of two products")

    def register(self, m, name, d, q):
        """Add a register without reset that stays apart from others with the same input.

        Synthesis merges such registers where it can: a family with a way around that overrides
        this.
        """
        m.d.sync += q.eq(d)

    def choose(self, m, words, index, o):
        """Add a multiplexer: ``o`` is the word at ``index``, some word if there is none."""
        m.d.comb += o.eq(Array(words)[index])

    def large_memory(self, m, word, given, enable, shown):
        """Add the single-port memories, as one of 32-bit words.

        If ``enable``, ``given`` is written at ``word``, else that word is ``shown`` a cycle later.
        """
        raise NotImplementedError(f"{self.name} has no memories larger than block RAMs")


def placed(place):
    """Return the keywords of an Instance that belongs to a Place, or to none."""
    return {} if place is None else {f"a_{k}": v for k, v in place.attributes.items()}


FAMILIES = (Family(),)
