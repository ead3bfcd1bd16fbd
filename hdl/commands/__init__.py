"""Commands in hardware, from words of memory to fields.

``records``  the layout of a command's bits, from :mod:`tilewright.isa.fields`
``queue``    fetched words of a unit wait here, and leave as whole commands
``decode``   bits as fields; whether the units that a command waits for have come far enough

Each unit has a queue; the load unit fills all three, its own among them::

    load unit --words--> queue (queue_depth) --a command's bits--> load | compute | store
"""
