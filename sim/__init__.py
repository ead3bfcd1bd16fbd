"""Executors and models of a compiled program.

``events``    when each command starts and ends, without any value
``fetched``   what a Fetch finds in memory
``queues``    commands that wait for their units
``waits``     what a command waits for
``timing/``   how long it takes
``effects/``  values along the events: the functional executor
``rtl/``      the engine's own Verilog
``report``    cycles, stalls and bytes, layer by layer
``timeline``  a run as Perfetto shows it
"""
