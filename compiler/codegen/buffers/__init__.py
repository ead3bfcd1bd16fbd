"""What each buffer of the engine holds: one allocator a buffer.

``activations``  rings of rows of values
``weights``      weights of kernel groups
``tables``       activation tables
``offsets``      rows of offsets and masks
``results``      results on their way to memory
"""
