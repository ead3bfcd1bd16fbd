"""Convolutions in tiles of results, with fewer multiplications (Winograd).

``choose``   which convolutions run in tiles
``rounded``  those whose kernels are rounded to fit, on request
"""
