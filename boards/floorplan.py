"""Where multipliers and block RAMs of an engine go.

Their sites are few, in rows from one side of an ECP5 to the other, and nextpnr, which leaves them
where its first solution has them, scatters those of one row of the array over the whole device.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

__all__ = ["DEVICES", "Device", "floorplan"]


@dataclass(frozen=True, kw_only=True)
class Device:
    """An ECP5's sites of multipliers and block RAMs.

    Parameters
    ----------
    blocks : int, side by side, each nine tiles wide with four sites
    left : int, of these, left of the two tiles in the middle
    multipliers, memories : tile rows with such blocks
    """

    blocks: int
    left: int
    multipliers: tuple[int, ...]
    memories: tuple[int, ...]

    def sites(self, cell_type: str) -> list[str]:
        """Return the sites for a type of cells as nextpnr names them, each beside the next."""
        rows, kind, offsets = {
            "MULT18X18D": (self.multipliers, "MULT18_", {0: 0, 1: 1, 4: 4, 5: 5}),
            "DP16KD": (self.memories, "EBR", {0: 0, 1: 2, 2: 4, 3: 6}),
        }[cell_type]
        starts = [4 + 9 * block + 2 * (block >= self.left) for block in range(self.blocks)]
        row = [(start + x, index) for start in starts for index, x in offsets.items()]
        # To and fro.
        return [
            f"X{x}/Y{y}/{kind}{index}"
            for n, y in enumerate(rows)
            for x, index in row[:: -1 if n % 2 else 1]
        ]


#: By the number in nextpnr's name for a device; found by filling each device with such cells.
_SMALL = Device(blocks=7, left=3, multipliers=(13,), memories=(25, 37))
DEVICES = {
    "12k": _SMALL,
    "25k": _SMALL,
    "45k": Device(blocks=9, left=4, multipliers=(22, 46), memories=(10, 34, 58)),
    "85k": Device(blocks=13, left=7, multipliers=(10, 34, 58), memories=(22, 46, 70, 82)),
}

#: What of the array's rows a cell is for: a row, or a part of all rows, counted by the first group.
_PARTS = {
    "MULT18X18D": (r"\.array\.mul_(\d+)_\d+\.", r"\.drain\.requantize_(\d+)\.mul\."),
    "DP16KD": (r"\.activations\.lane_(?:\d+_)+?(\d+)\.\d", r"\.weights\.\w+\.column_(\d+)\.\d"),
}


def floorplan(netlist: dict[str, Any], device: str) -> int:
    """Give the array's multipliers, the requantizers' and the buffers' block RAMs sites.

    They take the sites of the device to and fro, row of the array after row, so that what works
    together is close together. Other cells, and all of them where there are too few sites, are
    left to the placer.

    Parameters
    ----------
    netlist : what Yosys's ``write_json`` wrote, of one flattened module; changed in place
    device : str, as nextpnr names it

    Returns
    -------
    int
        Cells that have a site now.
    """
    available = DEVICES[device.split("-")[-1]]
    placed = 0
    for module in netlist["modules"].values():
        # Multipliers first: block RAMs lie along as many sites as they take.
        span = 0
        for cell_type, patterns in _PARTS.items():
            cells = _in_order(module["cells"], cell_type, patterns)
            free = available.sites(cell_type)
            if len(cells) > len(free):
                continue
            span = max(span, len(cells))
            step = min(span, len(free)) / max(len(cells), 1)
            for n, name in enumerate(cells):
                module["cells"][name].setdefault("attributes", {})["BEL"] = free[int(n * step)]
            placed += len(cells)
    return placed


def _in_order(cells: dict[str, Any], cell_type: str, patterns: tuple[str, ...]) -> list[str]:
    """Return the names of the cells that a pattern matches, in the order of the array's rows."""
    found: list[tuple[float, int, str]] = []
    for kind, pattern in enumerate(patterns):
        parts = {
            name: int(match[1])
            for name, cell in cells.items()
            if cell["type"] == cell_type and (match := re.search(pattern, name))
        }
        count = max(parts.values(), default=0) + 1
        found += [(part / count, kind, name) for name, part in parts.items()]
    return [name for *_, name in sorted(found)]
