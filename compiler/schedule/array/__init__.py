"""What the array can do: one operation in parts, and the operations that make one value.

``op``  windows, steps and kernel groups of a layer, or of a part of one
"""
