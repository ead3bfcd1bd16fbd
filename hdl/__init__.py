"""The accelerator, as Amaranth components.

Rooms, in the order in which data flows:

``commands``    commands in hardware: their layout, decoders and queues.
``sequence``    what a compute command does next: passes, taps, segments, weights.
``bus``         AXI: signatures, bursts, reading and writing blocks of memory.
``load``        the load unit: memory to buffers and command queues.
``buffers``     on-chip memories.
``windows``     from buffers to the windows that the array multiplies: picks, offsets, samples.
``array``       the array: the segment broadcast, multipliers and accumulators.
``drain``       from accumulators to results: sums of tiles, requantization, tables.
``store``       the store unit: results to memory.
``memory``      memories behind AXI4: on the FPGA, and controllers of those outside.
``control``     the host's view of the engine: registers, counters.
``families``    what a family of FPGAs provides, a file each.
``lib``         small parts that every room uses.

``compute`` joins sequence, windows, array and drain; ``engine`` is the whole; ``verilog`` writes it
out, with ``yosys``::

    memory --bus--> load --> buffers --> windows --> array --> drain --+--> buffers (activations)
       ^              |                     ^                          +--> buffers (results)
       |              +--> commands --> sequence                                  |
       +----------------------------- bus <---------------- store <---------------+
"""
