"""The boards: a module for each maker's board, with its variants.

``colorlight_i9``  Colorlight i9, ECP5 with a memory of 32 bits
``icebreaker``     iCEBreaker, iCE40UP5K
``icepi_zero``     Icepi Zero, ECP5
``tang_nano``      Tang Nano 20K, GW2AR
``ulx3s``          ULX3S, ECP5, two sizes

A module lists its boards in ``BOARDS``; docs/howto/board.md says how to add one.
"""
