"""What random tests draw from: engines, and networks for them.

``engines`` has every configuration that EngineConfig admits, ``networks`` graphs of every operator
of the integer graph, and ``agree`` compares executors on both.
"""
