"""What an engine and a program will cost, before anything is built.

In the order in which figures are made:

``figures``    numbers with their error bars, and what is not known
``structure``  memories and multipliers that an engine declares: exact
``cells``      look-up tables and flip-flops, fitted to syntheses
``resources``  all of these, and what of a board's FPGA they take; the clock
``energies``   what events cost, each with its source
``counts``     how often events happen in a run
``energy``     counts times energies, by layer and by cause
``board``      energies of a target: its family, its FPGA, its memory
``advice``     what another engine would save
"""
