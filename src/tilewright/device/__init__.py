"""Boards, real and simulated, as a host uses them.

``driver``   programs on a board: load, run, verify
``address``  boards by address
"""

from tilewright.device.address import connect
from tilewright.device.driver import Device, DeviceError

__all__ = ["Device", "DeviceError", "connect"]
