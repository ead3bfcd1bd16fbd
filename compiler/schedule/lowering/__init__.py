"""Every operator of the integer graph as array operations; files are named as in ``ir.ops``.

``context``      what lowering knows of a network, and what all operators are made of
``parameters``   requantization as kernel groups have it
``convolution``  convolutions, in tiles or not, and fully connected layers
``transposed``   transposed convolutions
``folds``        the rows beside few output channels: other input channels
``halves``       the columns beside few pixels: other input channels
``far``          windows and results too far apart for a command, one by one
``deformable``   windows that are put together from samples
``samples``      which of those samples are taken together
``dynamic``      sums whose weights another layer computes
``turned``       values turned so that pixels are channels, for those
``recurrence``   slices that depend on the slice before
``pooling``      maxima and sums of windows
``elementwise``  one or two values, element by element
``sums``         several values, each times a whole number
``movement``     what moves pixels and channels
``table``        an operator and what emits it, checked together
``dispatch``     which of them lowers which operator
"""
