"""An engine for designs of others: all that an integrator takes.

``registers``  the register map as SystemRDL, and the C header that PeakRDL makes of it
``notes``      ports, buses and the order of things, as a page; timing constraints
``folder``     the folder with these and the Verilog
"""

from tilewright.integration.folder import Integration, write_integration

__all__ = ["Integration", "write_integration"]
