"""The load unit: memory to buffers and command queues.

``unit``     takes a command, connects the rest, says when it is done
``verdict``  what is wrong with a command
``widen``    narrow pixels of inputs with few channels become pixel words
``unpack``   beats become words of a buffer
``walk``     where each word goes: lanes, rows in rings, channel groups
``kernels``  kernels are transformed on their way, for convolutions in tiles

A beat is cut or widened into words, which go where the walk says::

    bus.reader --beat--> widen --> unpack --word-+--> activations | offsets | tables | queues
                                     ^           +--> kernels --> weights
                                   walk ---------address-------->
"""
