"""In which order channels, taps and weights lie.

``channels``  in which order the channels of a value lie, and in which stored values
``taps``      which taps of a kernel reach which results
``sections``  weights in the order in which the array reads them
``offsets``   offsets and masks of deformable layers, and how channels lie for them
"""
