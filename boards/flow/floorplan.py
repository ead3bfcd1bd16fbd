"""Where multipliers and block RAMs of an engine go.

Their sites are few, in rows from one side of the FPGA to the other, and nextpnr, which leaves them
where its first solution has them, scatters those of one row of the array over the whole device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tilewright.boards.flow.netlist import Netlist
from tilewright.hdl.lib.place import Place

__all__ = ["floorplan"]


def floorplan(
    netlist: Netlist, places: Mapping[str, Place], sites: Mapping[str, Sequence[str]]
) -> int:
    """Give the array's multipliers, the requantizers' and the buffers' block RAMs sites.

    What hdl has marked with a :class:`~tilewright.hdl.lib.place.Place` takes the sites one after
    another, row of the array after row, so that what works together is close together. Other
    cells, and all of a type that has too few sites, are left to the placer.

    Parameters
    ----------
    netlist : one flattened module; changed in place
    places : of instances and memories, by their names in the flat design
    sites : for each type of cells its sites, each beside the next; the type that takes most first

    Returns
    -------
    int
        Cells that have a site now.
    """
    placed = 0
    for module in netlist["modules"].values():
        # Those of the next type lie along as many sites as those of the first take.
        span = 0
        for cell_type, free in sites.items():
            found = {
                name: place
                for name, cell in module["cells"].items()
                if cell["type"] == cell_type and (place := _place(name, places)) is not None
            }
            if len(found) > len(free):
                continue
            cells = sorted(found, key=lambda name: (found[name].share, found[name].rank, name))
            span = max(span, len(cells))
            step = min(span, len(free)) / max(len(cells), 1)
            for n, name in enumerate(cells):
                module["cells"][name].setdefault("attributes", {})["BEL"] = free[int(n * step)]
            placed += len(cells)
    return placed


def _place(name: str, places: Mapping[str, Place]) -> Place | None:
    """Return the place of a cell, or None.

    Yosys names a block RAM after its memory, with a number for each of its ports' and words' parts.
    """
    return places.get(name) or places.get(name.rsplit(".", 2)[0])
