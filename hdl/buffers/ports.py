"""Ports of the buffers: what is written and read there, and how it is addressed."""

from amaranth.hdl import Cat, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

__all__ = [
    "folded",
    "lane_addresses",
    "lane_words",
    "lane_write",
    "odd_writes",
    "weight_write",
    "word_write",
]


def folded(address, depth):
    """Return which word of a memory an address is: :func:`tilewright.isa.widths.folded`."""
    if depth & (depth - 1) == 0:
        return address  # the memory has as many bits of it as there are
    width = (depth - 1).bit_length()
    # Low bits that are zero in the depth decide nothing.
    low = (depth & -depth).bit_length() - 1
    behind = address[low:width] >= depth >> low
    return Cat(address[: width - 1], address[width - 1] & ~behind)


def word_write(width):
    """Return the signature of a write that is always accepted: ``valid``, ``addr``, ``data``."""
    return wiring.Signature({"valid": Out(1), "addr": Out(16), "data": Out(width)})


def lane_write(config):
    """Return the signature of a pixel word written to one lane of the activation buffer."""
    return wiring.Signature(
        {
            "valid": Out(1),
            "lane": Out(range(config.cols)),
            "addr": Out(16),
            "data": Out(config.rows * 8),
        }
    )


def odd_writes(config):
    """Return the members for results of odd pixels, where two words leave in a cycle."""
    if config.result_words == 1:
        return {}
    return {"o_act_odd": Out(lane_write(config)), "o_out_odd": Out(word_write(config.rows * 8))}


def weight_write(config):
    """Return the signature of a write to the weight buffer.

    ``half``: 0 for a whole word, whose bytes are extended with their sign; 1 for the low bytes of
    a wide word, 2 for what is above them.
    """
    members = {"valid": Out(1), "addr": Out(16), "data": Out(config.rows * 8)}
    return wiring.Signature(members | ({"half": Out(2)} if config.kernel_width > 8 else {}))


def lane_addresses(config):
    """Return where each lane is read: a lane word, or a place in each of its halves."""
    lane = data.ArrayLayout(unsigned(16), 2) if config.lane_halves == 2 else unsigned(16)
    return data.ArrayLayout(lane, config.cols)


def lane_words(config):
    """Return what is read there: a pixel word, or one from each half."""
    word = unsigned(config.rows * 8)
    lane = data.ArrayLayout(word, 2) if config.lane_halves == 2 else word
    return data.ArrayLayout(lane, config.cols)
