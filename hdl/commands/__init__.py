"""Commands in hardware: their layout, decoders and queues."""
