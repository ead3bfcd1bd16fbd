"""From buffers to the windows that the array multiplies.

``window``    pixels of an access in order, those outside replaced, parts put together
``factor``    the window before another one, as weights: products of maps
``offsets``   which offset and which mask a deformable window needs next
``sampler``   pixels between pixels, at an offset: four of them and their weights
``bilinear``  the four weights, and one rounding

A window is ``cols`` pixels of all channels of a group, at one tap::

    sequence.pace --access--> lanes' addresses --> buffers.activations --words--+
                                                                               v
                       (where the engine has a sampler)                     window --> array
    offsets --> bilinear --> sampler --addresses--> activations --> sampler -->^
"""
