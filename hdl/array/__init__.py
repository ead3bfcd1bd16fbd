"""The array: ``rows`` x ``cols`` multipliers and accumulators.

``broadcast``   which row hears which channel: the segment broadcast
``multiplier``  multipliers with their registers, of which the family has the primitives
``weigh``       weights on their way, and parameters among them
``mac``         the cells; a row has one weight, a column one pixel of each channel

    windows --channels--> broadcast --x--> row 0   [*+] [*+] [*+] ... cols
                                    --x--> row 1   [*+] [*+] [*+]
    weights ------------------------------^ one a row, copied to its columns
"""
