"""From an engine to a bitstream, in the order in which things happen.

``synthesis``  Yosys, then what the family does; results are kept while nothing changes
``netlist``    netlists, as Yosys writes them
``places``     what hdl says of where cells belong
``floorplan``  sites for what belongs to a row of the array
``outreg``     registers behind block RAMs move into them
``tools``      running Yosys, nextpnr and packers
``report``     what nextpnr reports

What differs between FPGAs is in :mod:`tilewright.boards.families`.
"""
