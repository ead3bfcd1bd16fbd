"""AXI4: the engine's one way to memory.

``axi``     signatures, and several subordinates or managers joined
``bursts``  rows of a block of memory as bursts that cross no 4 KiB
``reader``  a block is read: addresses go out ahead, beats come back in order
``writer``  a block is written: bursts begin when their beats are there

    load  --block--> reader --> bursts --AR--> memory --R--> beats
    store --block--> writer --> bursts --AW, W--> memory --B--> done
"""
