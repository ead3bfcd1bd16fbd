"""When a router is given up: a made-up one says how many paths are late after each round."""

import pytest

from tilewright.boards.flow import tools
from tilewright.boards.flow.tools import Tools

LINE = "Info:     iter={} wires=9 overused={} overuse=9 tmgfail={} archfail=NA"


@pytest.fixture
def route(tmp_path, monkeypatch):
    """Run a router whose rounds leave so much; return whether it ended, and what was reported."""
    monkeypatch.setattr(tools.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(tools, "STALLED", 10)
    monkeypatch.setattr(tools, "ROUNDS", 40)

    def run(*rounds):
        lines = [LINE.format(n + 1, *left) for n, left in enumerate(rounds)]
        script = tmp_path / "router"
        script.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
        script.chmod(0o755)
        reported = []
        return Tools(tmp_path, reported.append).run("router"), reported

    return run


def test_a_router_that_gets_on_is_not_given_up(route):
    ended, reported = route(*[(30 - n, 0) for n in range(30)])
    assert ended
    assert reported[1:] == [
        f"  round {n}: {31 - n} wires in conflict, 0 paths late" for n in (10, 20, 30)
    ]


def test_a_router_that_gets_no_further_is_given_up(route):
    best = [(100, 5), (0, 5)]
    assert route(*best, *[(0, 6)] * 9)[0]
    assert not route(*best, *[(0, 6)] * 10, (0, 0))[0]
    # Fewer late paths, but as many wires in conflict more.
    assert not route(*best, *[(5, 0)] * 10, (0, 0))[0]


def test_what_one_run_reached_is_nothing_to_the_next(route):
    assert route((0, 0))[0]
    assert route(*[(0, 30 - n) for n in range(30)])[0]


def test_a_router_that_goes_on_too_long_is_given_up(route):
    assert route(*[(0, 99 - n) for n in range(39)])[0]
    assert not route(*[(0, 99 - n) for n in range(60)])[0]
