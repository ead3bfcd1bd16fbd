"""Boards, real and simulated, as a host uses them.

``driver``   programs on a board: load, run, verify
``address``  boards by address
``loader``   bitstreams onto boards
"""

from tilewright.device.address import connect
from tilewright.device.driver import Device, DeviceError, DeviceVerification
from tilewright.device.loader import flash

__all__ = ["Device", "DeviceError", "DeviceVerification", "connect", "flash"]
