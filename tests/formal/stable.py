"""The first rule of every handshake."""

from amaranth.hdl import Assert, Assume, Module, Signal, Value

__all__ = ["assume_stable", "stable"]


def stable(m: Module, name: str, valid: Value, ready: Value, payload: Value) -> None:
    """Assert that what is offered stays until it is taken, and does not change."""
    m.d.comb += Assert(_stays(m, name, valid, ready, payload), f"{name} is stable until ready")


def assume_stable(m: Module, name: str, valid: Value, ready: Value, payload: Value) -> None:
    """Assume the same of the other side."""
    m.d.comb += Assume(_stays(m, name, valid, ready, payload))


def _stays(m: Module, name: str, valid: Value, ready: Value, payload: Value) -> Value:
    waiting, offered = Signal(name=f"{name}_waiting"), Signal(len(payload), name=f"{name}_offered")
    m.d.sync += [waiting.eq(valid & ~ready), offered.eq(payload)]
    return ~waiting | (valid & (payload == offered))
