"""AXI: signatures, bursts, reading and writing blocks of memory."""
