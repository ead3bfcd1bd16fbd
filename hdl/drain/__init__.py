"""From accumulators to results.

``unit``        results leave row by row, column by column, with their parameters
``layout``      where the results of a pass go, and their bounds
``chains``      copies of the accumulators
``fold``        sums of rows that are parts of one are added
``partial``     terms of tiles are summed first, and leave as the pixels of a tile
``requantize``  scale, round to nearest even, saturate
``lookup``      activation functions as tables
``write``       where each word goes
``pairs``       two words in a cycle

While the array works on the next pass, the copies of the last one move on, a cycle each::

    array --capture--> copies --heads--> (fold, partial) --> requantize --> (lookup) --> word
                          ^                                     ^                          |
                       chains of rows           bias, multiplier, shift       activations, results
"""
