"""The host link: bytes on a line, what they ask for, and the host's side of it.

``transport``  what is at both ends
``frames``     what goes over the line: frames with a CRC-32, requests and replies
``uart``       asynchronous serial
``usb``        a USB device that is a serial port to the host
``framing``    frames in hardware
``bridge``     the board's end: requests to register and memory accesses
``exchange``   the host's end: every request once, in order, whatever the line does
``host``       registers and memory of a board, as a host uses them
"""
