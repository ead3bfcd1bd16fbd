"""The functional executor: commands on a NumPy model of the engine, with exact cycles.

``machine``   units, queues and waits
``array``     what a compute command does to the buffers
``sampler``   what the windows of a deformable one hold
``errors``    what the executor refuses
"""
