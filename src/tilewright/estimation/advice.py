"""What another engine would save: the same network, compiled and estimated again."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tilewright.errors import Error
from tilewright.estimation.resources import resources_of
from tilewright.estimation.structure import memories
from tilewright.hdl.families import get_family
from tilewright.isa import EngineConfig
from tilewright.isa.config import ConfigError

__all__ = ["Advice", "Costs", "changes", "widths_of_tiles"]

#: Of engines that compute tiles of results: F(4,3) along rows fits this width.
PARTIAL_DEPTH, TILE_WIDTH = 512, 13


@dataclass(frozen=True)
class Costs:
    """What a run takes: cycles, bytes to and from memory, uJ without what is ``unknown``."""

    cycles: float
    bytes: float
    energy: float
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Advice:
    """One parameter changed, and what that does.

    Parameters
    ----------
    parameter, value : of the engine
    before, after : what a run takes; ``after`` is None if the network does not fit
    note : what the change costs, or why there is no figure
    """

    parameter: str
    value: object
    before: Costs
    after: Costs | None
    note: str

    @property
    def saved(self) -> dict[str, float]:
        """Shares that are saved, of cycles, bytes and energy; below 0 if they grow.

        Energies of which not the same is known are not compared.
        """
        if self.after is None:
            return {}
        alike = self.before.unknown == self.after.unknown
        return {
            name: 1 - getattr(self.after, name) / getattr(self.before, name)
            for name in ("cycles", "bytes", *(["energy"] if alike else []))
            if getattr(self.before, name)
        }

    def __str__(self) -> str:
        if self.after is None:
            return f"{self.parameter} {self.value}: {self.note}"
        parts = [
            f"{abs(share):.0%} of the {name}" if share > 0 else f"-{abs(share):.0%} of the {name}"
            for name, share in self.saved.items()
            if abs(share) >= 0.005
        ]
        what = f"would save {', '.join(parts)}" if parts else "would change nothing"
        return f"{self.parameter} {self.value} {what}; {self.note}"

    def cells(self) -> tuple[str, str, str, str, str]:
        """Return the cells of a table."""
        shares = [f"{0.0 - round(self.saved[name], 3):+.1%}" if name in self.saved else "-"
                  for name in ("cycles", "bytes", "energy")]  # fmt: skip
        return (f"{self.parameter} {self.value}", shares[0], shares[1], shares[2], self.note)


def changes(config: EngineConfig) -> list[tuple[str, EngineConfig, str]]:
    """Return engines with one parameter changed, and what more memory or multipliers they take.

    With ``partial_depth`` come the widths that tiles of results need, and go with it.
    """
    tiles = 0 if config.partial_depth else PARTIAL_DEPTH
    widths = widths_of_tiles(config.dsp, tiles=tiles > 0)
    found = []
    for name, value, others in (
        ("act_depth", 2 * config.act_depth, {}),
        ("act_depth", max(16, config.act_depth // 2), {}),
        ("weight_depth", 2 * config.weight_depth, {}),
        ("weight_depth", max(16, config.weight_depth // 2), {}),
        ("out_depth", 2 * config.out_depth, {}),
        ("out_depth", max(16, config.out_depth // 2), {}),
        ("bus_width", 2 * config.bus_width, {}),
        ("requantizers", min(config.rows, 2 * config.requantizer_count), {}),
        ("tables", max(1, config.tables), {}),
        ("partial_depth", tiles, widths),
        ("shared_words", True, {}),
        ("weight_bits", 4, {}),
    ):
        same = config.requantizer_count if name == "requantizers" else getattr(config, name)
        if value == same:
            continue
        try:
            changed = EngineConfig.from_fields({**asdict(config), name: value, **others})
            get_family(config.dsp).check(changed)
        except ConfigError:
            continue
        note = _difference(config, changed)
        if name == "weight_bits":
            note += "; weights have to be quantized to 4 bits"
        found.append((name, changed, note))
    return found


def widths_of_tiles(dsp: str, *, tiles: bool) -> dict[str, int | bool]:
    """Return the parameters of operands' widths, of an engine with or without tiles of results."""
    wide = tiles and get_family(dsp).columns_per_multiplier == 1
    data, kernel = (TILE_WIDTH, TILE_WIDTH) if wide else (9, 8)
    return {"data_width": data, "kernel_width": kernel, "transform_at_load": False}


def _difference(config: EngineConfig, changed: EngineConfig) -> str:
    """Return what an engine takes more or less than another, of what is exact."""
    try:
        before, after = (resources_of(c).cells for c in (config, changed))
    except Error:
        return ""
    exact = [
        f"{figure.value - old.value:+,.0f} {kind}"
        for kind, figure in after.items()
        if not hasattr(figure, "reason")
        and not hasattr(old := before[kind], "reason")
        and figure.is_exact
        and figure.value != old.value
    ]
    bits = [sum(m.count * m.depth * m.width for m in memories(c)) for c in (config, changed)]
    return ", ".join(exact) or f"{(bits[1] - bits[0]) // 8192:+,} KiB in the same block RAMs"
