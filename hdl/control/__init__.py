"""The host's view of the engine.

``unit``      registers behind AXI4-Lite: start, status, errors, interrupt, soft reset
``counters``  cycles, and what the units did or waited for in them; the watchdog

    host --AXI4-Lite--> registers --boot--> load unit          (the first fetch of a run)
              ^                    --halt, reset--> all units
              +-- status, counters <-- done, fault, stalls --- all units
"""
