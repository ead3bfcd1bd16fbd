"""The host's view of the engine: registers, counters."""
