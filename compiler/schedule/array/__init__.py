"""What the array can do: one operation in four parts, and the operations that make one value.

An operation is *where windows come from* x *where weights come from* x *how sums end* x *where
results go*. Every part answers the questions of whoever schedules it, and says its own fields of a
command; nobody asks of which kind a part is. So another kind of part is another file.

``section``    kernel groups that reduce over the same channels, and those that go together
``ring``       a value in the activation buffer
``area``       rows and columns of a value, and how commands that move them count
``work``       what one command covers
``windows``    windows on the grid of one input, or of two
``sampled``    windows at positions that are data, and of samples taken before
``weights``    weight words in memory, and those that are a value
``dynamic``    weights that another layer computes, and windows that turn pixels for them
``result``     rows and columns of a value, and where they go
``reduction``  sums and maxima
``wide``       values of more than 8 bits: as rows of bytes, and sums that write them
``tiles``      the three parts of a term of tiles: its windows, weights and sums
``op``         an operation
``parts``      what a kernel group reduces over, cut so that each part fits on chip
``stage``      the operations that compute one value
``stacked``    those that compute it of several images

============== ========================== ========================== =================
question       windows                    weights                    reduction, result
============== ========================== ========================== =================
rows           ``input_rows``, ``reach``                             ``own_rows``
columns        ``column_reach``                                      ``own_columns``
buffers        ``at_once``,               ``kernel_words``,          ``chunk``
               ``pairs_of_rows``          ``block_words``
loads          ``positions``              ``from_memory``,           ``table``
                                          ``loads``, ``image``
passes         ``parts``, ``lead_parts``, ``segments``               ``shortest_pass``
               ``per_channel_group``
limits         ``too_large``                                         ``column_step``
fields         ``fields``, ``lead``       ``fields``                 ``fields``
============== ========================== ========================== =================
"""
