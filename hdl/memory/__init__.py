"""Memories behind AXI4.

On the FPGA, a memory with a port for the host (``host``) besides: ``block``, of block RAMs, and
``large``, of what a family has that is larger.

Outside, a controller: a burst is cut into pieces that stay within a row and a buffer (``pieces``).
``sdram`` takes one piece after another, of reads and writes in turn; while the words of one move
(``mover``), the row of the next is opened (``opener``, ``banks``). ``keeper`` initializes the chip
and refreshes it. ``pins`` are the chip's; ``chip`` says what a chip is and how many cycles its data
sheet's times are, ``parameters`` what its controller is. ``late`` has the registers of pads, for
simulation. ``engine`` is an engine with it; ``share``
lets the host in between the engine's bursts.

    AR -> pieces --+                 +-> column commands --+
                   +-> next (opens) -+   of one piece      +-> pins -> chip
    AW -> pieces --+                 +-> refresh ----------+
    W  -> words that wait ---------------^                        |
    R  <- words that wait <---------------------------------------+
"""
