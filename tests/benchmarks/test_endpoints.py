"""Late ends of a placed design, from delays as nextpnr writes them."""

import pytest

from benchmarks.endpoints import End, late_ends, read_delays

SDF = r"""
  (CELL
    (CELLTYPE "top")
    (INSTANCE )
    (DELAY
      (ABSOLUTE
        (INTERCONNECT a/Q gate/A (100:200:1000) (100:200:900))
        (INTERCONNECT b/Q gate/B (0:0:3000) (0:0:3000))
        (INTERCONNECT gate/F c/DI (0:0:500) (0:0:500))
        (INTERCONNECT a/Q d/DI (0:0:100) (0:0:100))
  (CELL
    (CELLTYPE "TRELLIS_FF")
    (INSTANCE a)
        (IOPATH CLK Q (430:477:500) (430:477:500))
  (CELL
    (INSTANCE b)
        (IOPATH CLK Q (430:477:500) (430:477:500))
  (CELL
    (INSTANCE gate)
        (IOPATH A F (0:0:250) (0:0:250))
        (IOPATH B F (0:0:250) (0:0:250))
  (CELL
    (INSTANCE c)
      (SETUPHOLD (posedge DI) (posedge CLK) (250:250:250) (1:1:1))
  (CELL
    (INSTANCE d)
      (SETUPHOLD (posedge DI) (posedge CLK) (0:0:0) (267:285:303))
"""


def test_the_slowest_way_to_an_end_is_added_up():
    ((end, path),) = late_ends(read_delays(SDF.splitlines()), period=4.0)
    # 0.5 + 3.0 + 0.25 + 0.5, and 0.25 before the clock
    assert end == End(pytest.approx(-0.5), "c/DI", "b/Q")
    assert path == ["b/Q", "gate/B", "gate/F", "c/DI"]


def test_no_end_is_late_at_a_slow_clock():
    assert not list(late_ends(read_delays(SDF.splitlines()), period=4.5))
