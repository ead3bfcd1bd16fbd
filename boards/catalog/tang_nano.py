"""Tang Nano 20K, by Sipeed: Gowin GW2AR-18 with an SDRAM of 32 bits in its package."""

from tilewright.boards.board import Board
from tilewright.boards.family import Part
from tilewright.boards.sdram import BoardSDRAM
from tilewright.isa import EngineConfig

__all__ = ["BOARDS", "TANG_NANO_20K"]

#: Within the package: sides of the die, places along them, and the half.
_SDRAM = {
    "clk": "IOR11B",
    "cke": "IOL13A",
    "cs_n": "IOL14B",
    "ras_n": "IOL13B",
    "cas_n": "IOL14A",
    "we_n": "IOL12B",
    "ba": "IOR13A IOR12A",
    "a": "IOR14A IOR13B IOR14B IOR15A IOL16B IOL17B IOL16A IOL17A IOL15B IOL15A IOR12B",
    "dqm": "IOL12A IOR11A IOL18A IOR15B",
    "dq": "IOL3A IOL3B IOL8A IOL8B IOL9A IOL9B IOL11A IOL11B "
    "IOR9B IOR9A IOR5B IOR6A IOR5A IOR4B IOR3B IOR3A "
    "IOL39B IOL39A IOL35B IOL35A IOL30B IOL30A IOL20A IOL18B "
    "IOR17A IOR16A IOR16B IOR17B IOR18A IOR18B IOR44A IOR44B",
}

TANG_NANO_20K = Board(
    name="tang-nano-20k",
    family="gowin",
    part=Part(device="GW2AR-LV18", package="QN88", speed_grade=8),
    oscillator_mhz=27.0,
    clock_mhz=54.0,  # asked for: it has not been placed and routed yet, docs/synthesis.md
    pins={"clk": "4", "uart_tx": "69", "uart_rx": "70", "led": "15"},
    active_low=("led",),
    host_link="USB serial (BL616)",
    loader="tangnano20k",
    memory="8 MiB SDRAM, 32 bits",
    sdram=BoardSDRAM(
        chip="GW2AR-18",
        pins={pin: tuple(sites.split()) for pin, sites in _SDRAM.items()},
        clock_phase=292.5,
    ),
    engine=EngineConfig(
        rows=4,
        cols=4,
        requantizers=1,
        act_depth=2048,
        weight_depth=4096,
        out_depth=1024,
        tables=1,
        bus_width=64,
        queue_depth=8,
        burst_beats=16,
        outstanding=2,
        dsp="gowin",
    ),
    source="github.com/YosysHQ/apicula, doc/sdram.md; clock, serial line and light: "
    "github.com/litex-hub/litex-boards, sipeed_tang_nano_20k.py",
)

BOARDS = (TANG_NANO_20K,)
