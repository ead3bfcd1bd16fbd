"""The host link: bytes on a line, what they ask for, and the host's side of it.

``transport``  what is at both ends
``uart``       asynchronous serial
``bridge``     bytes to register and memory accesses
``host``       the host's side, in Python
"""
