"""Registers behind block RAMs move into them."""

from __future__ import annotations

from collections import Counter

from tilewright.boards.flow.netlist import Bit, Cell, Netlist

__all__ = ["absorb_output_registers"]

_WHOLE = 36  # bits of a word that takes both ports
_PLAIN = {"CEMUX": "1", "CLKMUX": "CLK", "REGSET": "RESET"}


def absorb_output_registers(netlist: Netlist) -> int:
    """Use the output registers of ECP5 block RAMs, which Yosys does not; return of how many.

    A block RAM's word comes 5.6 ns after the clock; behind its own register, less than 1 ns. A port
    B qualifies when each of its outputs in use goes to one plain register and nowhere else: no
    enable, no reset, the same clock. Words of 36 bits have their upper half at port A's outputs,
    and need its registers too.

    Parameters
    ----------
    netlist : what Yosys's ``write_json`` wrote, of one flattened module; changed in place
    """
    absorbed = 0
    for module in netlist["modules"].values():
        cells = module["cells"]
        loads: Counter[int | str] = Counter()
        registers: dict[int | str, str] = {}  # by the bit at their input
        for name, cell in cells.items():
            for port, bits in cell["connections"].items():
                if cell["port_directions"].get(port) != "output":
                    loads.update(bits)
            if cell["type"] == "TRELLIS_FF":
                registers[cell["connections"]["DI"][0]] = name
        for bits in (port["bits"] for port in module["ports"].values()):
            loads.update(bits)
        for cell in list(cells.values()):
            if cell["type"] != "DP16KD" or cell["parameters"]["REGMODE_B"] != "NOREG":
                continue
            ports = cell["connections"]
            halves = "AB" if int(cell["parameters"]["DATA_WIDTH_B"], 2) == _WHOLE else "B"
            outputs = tuple(f"DO{half}" for half in halves)
            used = {
                port: bits[0]
                for port, bits in ports.items()
                if port.startswith(outputs) and bits and loads[bits[0]]
            }
            taken = {port: registers.get(bit) for port, bit in used.items() if loads[bit] == 1}
            if not used or len(taken) < len(used):
                continue
            if not all(
                name is not None and _is_plain(cells[name], ports["CLKB"])
                for name in taken.values()
            ):
                continue
            for port, register in taken.items():
                assert register is not None
                ports[port] = cells.pop(register)["connections"]["Q"]
            for half in halves:
                cell["parameters"][f"REGMODE_{half}"] = "OUTREG"
                ports[f"OCE{half}"] = ["1"]
            absorbed += 1
    return absorbed


def _is_plain(register: Cell, clock: list[Bit]) -> bool:
    ports, parameters = register["connections"], register["parameters"]
    return (
        ports["CLK"] == clock
        and ports.get("LSR", ["0"])[0] in ("0", "x")
        and ports.get("CE", ["1"])[0] in ("1", "x")
        and all(parameters.get(name, value).strip() == value for name, value in _PLAIN.items())
    )
