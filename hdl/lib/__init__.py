"""Small parts that every room uses.

``skid``    both sides of a stream from registers
``fanout``  a register in copies, each for its own part of the array
``delay``   what a signal was some cycles ago
``choose``  one of a few words
``loops``   nested loops without long carry chains, offsets in rings
``sums``    sums of many terms, products with constants
``place``   what of the array's rows a hard block works for
"""
