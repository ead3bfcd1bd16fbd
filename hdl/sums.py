"""Sums of many terms, and products with constants: no multiplier, short paths."""

__all__ = ["times", "tree_sum"]


def tree_sum(terms):
    """Return the sum of terms, added in pairs: as few adders behind one another as can be."""
    while len(terms) > 1:
        terms = [sum(terms[i + 1 : i + 2], terms[i]) for i in range(0, len(terms), 2)]
    return terms[0]


def times(value, factor):
    """Return ``value`` times a positive constant."""
    return tree_sum([value << bit for bit in range(factor.bit_length()) if factor >> bit & 1])
