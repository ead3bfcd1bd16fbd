"""On-chip memories.

``ports``        what is written and read there, and how it is addressed
``activations``  lanes of pixel words: ``cols`` neighbouring pixels at any offset in one access
``offsets``      of deformable convolutions, with their masks
``weights``      a word of weights for each step of the array
``words``        a ring of words, of which the weights and the results are made
``results``      the results in two banks, where two words of them come in a cycle

Each is written by one unit while another one reads::

    load --+--> weights ------> array               (words side by side, beside their rows)
           +--> offsets ------> windows.offsets
           +--> activations --> windows.window      (a lane for each column)
    drain -+-------^
           +--> results ------> store
"""
