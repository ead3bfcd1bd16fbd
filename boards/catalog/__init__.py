"""The boards: a module for each maker's board, with its variants.

``icebreaker``  iCEBreaker, iCE40UP5K
``ulx3s``       ULX3S, ECP5, two sizes

A module lists its boards in ``BOARDS``; docs/howto/board.md says how to add one.
"""
