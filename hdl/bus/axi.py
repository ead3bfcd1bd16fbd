"""AXI4 and AXI4-Lite as flat signatures, and conventional port names for generated Verilog.

Source: AMBA AXI and ACE Protocol Specification, ARM IHI 0022.
"""

import enum

from amaranth.hdl import Module, Signal, ValueCastable

# ``convert(ports=...)`` takes directions of this type, which 0.5 exports nowhere else.
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AXI4", "AXI4Lite", "AXI4Read", "AXI4Write", "Burst", "Response", "join", "ports"]


class Burst(enum.IntEnum):
    """AxBURST."""

    FIXED = 0
    INCR = 1
    WRAP = 2


class Response(enum.IntEnum):
    """RRESP and BRESP."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


_DIRECTIONS = {In: PortDirection.Input, Out: PortDirection.Output}


def _check_data_width(data_width: int) -> None:
    if data_width not in (32, 64, 128):
        raise ValueError(f"data_width must be 32, 64 or 128, not {data_width!r}")


def _address_channel(prefix: str, data_width: int, addr_width: int) -> dict[str, wiring.Member]:
    size = (data_width // 8).bit_length() - 1
    return {
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
        f"{prefix}id": Out(1),
        f"{prefix}addr": Out(addr_width),
        f"{prefix}len": Out(8),
        # Constants of this design: a component that leaves them alone drives these values.
        f"{prefix}size": Out(3, init=size),
        f"{prefix}burst": Out(2, init=Burst.INCR),
        f"{prefix}cache": Out(4, init=0b0011),
        f"{prefix}prot": Out(3, init=0b000),
    }


class AXI4Read(wiring.Signature):
    """The read half of :class:`AXI4`, from the manager's view.

    Parameters
    ----------
    data_width : int, bits, 32, 64 or 128
    addr_width : int, bits
    """

    def __init__(self, *, data_width: int, addr_width: int = 32) -> None:
        _check_data_width(data_width)
        self._data_width = data_width
        self._addr_width = addr_width
        super().__init__(
            {
                **_address_channel("ar", data_width, addr_width),
                "rvalid": In(1),
                "rready": Out(1),
                "rid": In(1),
                "rdata": In(data_width),
                "rresp": In(2),
                "rlast": In(1),
            }
        )

    @property
    def data_width(self) -> int:
        """Bits per beat."""
        return self._data_width

    @property
    def addr_width(self) -> int:
        """Bits of a byte address."""
        return self._addr_width


class AXI4Write(wiring.Signature):
    """The write half of :class:`AXI4`, from the manager's view.

    Parameters
    ----------
    data_width : int, bits, 32, 64 or 128
    addr_width : int, bits
    """

    def __init__(self, *, data_width: int, addr_width: int = 32) -> None:
        _check_data_width(data_width)
        self._data_width = data_width
        self._addr_width = addr_width
        super().__init__(
            {
                **_address_channel("aw", data_width, addr_width),
                "wvalid": Out(1),
                "wready": In(1),
                "wdata": Out(data_width),
                "wstrb": Out(data_width // 8),
                "wlast": Out(1),
                "bvalid": In(1),
                "bready": Out(1),
                "bid": In(1),
                "bresp": In(2),
            }
        )

    @property
    def data_width(self) -> int:
        """Bits per beat."""
        return self._data_width

    @property
    def addr_width(self) -> int:
        """Bits of a byte address."""
        return self._addr_width


class AXI4(wiring.Signature):
    """All five channels of AXI4 from the manager's view; one identifier, incrementing bursts.

    Parameters
    ----------
    data_width : int, bits, 32, 64 or 128
    addr_width : int, bits
    """

    def __init__(self, *, data_width: int, addr_width: int = 32) -> None:
        self._data_width = data_width
        self._addr_width = addr_width
        halves = (
            kind(data_width=data_width, addr_width=addr_width) for kind in (AXI4Write, AXI4Read)
        )
        super().__init__({name: member for half in halves for name, member in half.members.items()})

    @property
    def data_width(self) -> int:
        """Bits per beat."""
        return self._data_width

    @property
    def addr_width(self) -> int:
        """Bits of a byte address."""
        return self._addr_width


class AXI4Lite(wiring.Signature):
    """AXI4-Lite with 32 data bits, from the manager's view.

    Parameters
    ----------
    addr_width : int, bits
    """

    def __init__(self, *, addr_width: int = 8) -> None:
        self._addr_width = addr_width
        super().__init__(
            {
                "awvalid": Out(1),
                "awready": In(1),
                "awaddr": Out(addr_width),
                "awprot": Out(3),
                "wvalid": Out(1),
                "wready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "bvalid": In(1),
                "bready": Out(1),
                "bresp": In(2),
                "arvalid": Out(1),
                "arready": In(1),
                "araddr": Out(addr_width),
                "arprot": Out(3),
                "rvalid": In(1),
                "rready": Out(1),
                "rdata": In(32),
                "rresp": In(2),
            }
        )

    @property
    def addr_width(self) -> int:
        """Bits of a byte address."""
        return self._addr_width


def join(m: Module, axi: wiring.PureInterface, *halves: wiring.PureInterface) -> None:
    """Connect an outer :class:`AXI4` port to the halves that inner components drive.

    Both sides have the manager's view: ``join(m, self.m_axi, load.axi, store.axi)``.
    """
    for half in halves:
        for name, member in half.signature.members.items():
            outer, inner = getattr(axi, name), getattr(half, name)
            if member.flow == Out:
                m.d.comb += outer.eq(inner)
            else:
                m.d.comb += inner.eq(outer)


def ports(component: wiring.Component) -> dict[str, tuple[Signal, PortDirection]]:
    """Return a component's ports, named by their path joined with ``_`` (``m_axi_awaddr``).

    For the ``ports`` argument of :func:`amaranth.back.verilog.convert` and its RTLIL twin.

    Raises
    ------
    ValueError
        If two members come to the same name.
    """
    result: dict[str, tuple[Signal, PortDirection]] = {}
    for path, member, value in component.signature.flatten(component):
        name = "_".join(map(str, path))
        if name in result:
            raise ValueError(f"two members of the component come to the port name {name!r}")
        signal = value.as_value() if isinstance(value, ValueCastable) else value
        if isinstance(signal, Signal):
            result[name] = (signal, _DIRECTIONS[member.flow])
    return result
