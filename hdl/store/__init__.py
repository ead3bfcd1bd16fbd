"""The store unit: results to memory.

``unit``  takes a command, connects the rest, says when it is done
``pack``  words of the results become beats of the bus, where pixels are narrow too

    buffers.results --words--> pack --beats--> bus.writer --> memory
"""
