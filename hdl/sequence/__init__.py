"""What a compute command does next, one cycle after another.

``runs``    when a command starts, and when it leaves the array to the next one
``passes``  its passes: kernel groups x rows x strips of columns, each a result for every cell
``taps``    of a pass its segments: channel groups x kernel rows x kernel columns
``pace``    of a segment its accesses to the lanes, no faster than weights can follow
``rows``    where windows go on behind a row of results, if rows share words
``steps``   of a segment its steps: a weight word and one channel of every segment a cycle

A loop inside another; each asks the one above for its next item when it is done with one::

    command --> passes --> taps --+--> pace --access--> windows.window
                                  |      |
              (where results go)  |      +--burst, delayed--> steps --address--> buffers.weights
                                  +--> places (a FIFO), until the pass is captured
"""
