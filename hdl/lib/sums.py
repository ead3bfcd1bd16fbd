"""Sums of many terms, and products with constants: no multiplier, short paths."""

from amaranth.hdl import Cat, Const

__all__ = ["add_with_carry", "times", "tree_sum"]


def tree_sum(terms):
    """Return the sum of terms, added in pairs: as few adders behind one another as can be."""
    while len(terms) > 1:
        terms = [sum(terms[i + 1 : i + 2], terms[i]) for i in range(0, len(terms), 2)]
    return terms[0]


def add_with_carry(a, b, carry):
    """Return ``a + b + carry`` in as many bits as ``a`` and ``b`` have, with one adder.

    To subtract, ``b`` is a complement and ``carry`` one.
    """
    assert len(a) == len(b)
    return (Cat(Const(1, 1), a) + Cat(carry, b))[1 : len(a) + 1]


def times(value, factor):
    """Return ``value`` times a positive constant."""
    return tree_sum([value << bit for bit in range(factor.bit_length()) if factor >> bit & 1])
