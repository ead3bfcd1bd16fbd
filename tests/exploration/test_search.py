"""Engines that no other one beats; a search that was killed goes on, and loses nothing."""

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from distributed import LocalCluster

import tilewright as tw
from tests.api.test_group_sizes import CHANNELS
from tests.api.test_group_sizes import graph as grouped_graph
from tests.compiler.importers.tflite.files import File
from tests.cosim.engines import ENGINES
from tests.cosim.random_networks import random_network
from tilewright.api.searched import searched
from tilewright.boards import BOARDS, get_board
from tilewright.estimation import clock
from tilewright.exploration.evaluate import evaluate, misfit
from tilewright.exploration.points import Exploration, front_of
from tilewright.exploration.search import Search
from tilewright.exploration.space import Space, choice_of
from tilewright.exploration.workers import workers

BOARD = "ulx3s-12f"
SPACE = Space(
    rows=(2, 4), cols=(2, 4), rows_per_requantizer=(1, 2), act_depth=(1024,), weight_depth=(4096,),
    out_depth=(256,), bus_width=(32,), tables=(1,), shared_words=(True,), partial_depth=(0,),
    objective=("time",), smallest=0,
)  # fmt: skip
OBJECTIVES = ("latency", "area")


@pytest.fixture(scope="module")
def graphs():
    graph, _ = random_network(np.random.default_rng(5), ENGINES["4x4-bus64"], (5, 6))
    return {8: graph}


def search(storage=None, space=SPACE, question="q", errors=None, objectives=OBJECTIVES):
    path = None if storage is None else Path(storage)
    objectives += ("error",) * bool(errors)
    base = get_board(BOARD).engine
    return Search(
        BOARD, base, objectives, space, (8,), question, storage=path, seed=1, errors=errors or {}
    )


def run(graphs, one, evaluations):
    with workers(graphs, BOARD, one.objectives, 1, None) as at_work:
        one.run(evaluations, at_work, lambda done, total: None)
    return one.result()


def test_front_is_what_a_comparison_of_all_with_all_gives():
    rng = np.random.default_rng(2)
    values = rng.integers(0, 6, (60, 3)).tolist()
    for index, (row, front) in enumerate(zip(values, front_of(values), strict=True)):
        beaten = any(
            all(a <= b for a, b in zip(other, row, strict=True)) and other != row
            for other in values
        )
        assert front is not (beaten or row in values[:index])
    assert front_of([[1, 2], [1, 2], [2, 1], [1, 2]]) == [True, False, True, False]


def test_one_engine_by_two_values_is_tried_once(graphs):
    """Four rows have one requantizer, be they four or eight to one; it was on the front twice."""
    space = replace(SPACE, rows=(4,), cols=(2, 3), rows_per_requantizer=(4, 8))
    found = run(graphs, search(space=space), 5)
    assert sorted(point.choice.engine.cols for point in found.points) == [2, 3]
    assert len(found.front) == len({point.name for point in found.front})


def test_values_are_the_estimates_and_the_boards_own_engine_is_first(graphs):
    found = run(graphs, search(), 6)
    assert found.default is found.points[0]
    assert len({point.name for point in found.points}) == len(found.points) == 6
    for point in found.points:
        assert not misfit(BOARD, point.choice)
        target = replace(tw.Target.from_board(BOARD), engine=point.choice.engine)
        found_again = searched(graphs[8], target, "time", {"*": "auto"})
        assert point.values["latency, ms"] == found_again.latency.value
        # What it does not compare is worth little, and is never lost by those who compile.
        best = tw.estimate(tw.compile_graph(graphs[8], target)).latency.value
        assert best <= point.values["latency, ms"] < 1.01 * best


def test_engines_beside_the_boards_own_come_first():
    """Of each parameter the next values up and down, of those that fit."""
    one = search(space=replace(SPACE, act_depth=(512, 1024, 2048, 65536), rows=(2, 4, 64)))
    own = one.study.get_trials(deepcopy=False)[0].system_attrs["fixed_params"]
    waiting = [t.system_attrs["fixed_params"] for t in one.study.get_trials(deepcopy=False)[1:]]
    changed = [{k: v for k, v in w.items() if v != own[k]} for w in waiting]
    assert changed == [
        {"rows": 2}, {"cols": 2}, {"rows_per_requantizer": 1}, {"act_depth": 2048},
        {"act_depth": 512},
    ]  # fmt: skip


def test_a_search_goes_on_where_it_was(graphs, tmp_path):
    path = tmp_path / "search.db"
    first = run(graphs, search(path), 3)
    again = search(path)
    assert again.done == 3
    # Of a choice under way nothing is lost: it is the next.
    trial = again.study.ask()
    for name, values in again._dimensions.items():
        trial.suggest_categorical(name, values)
    found = run(graphs, search(path), 5)
    assert [p.choice for p in found.points[:3]] == [p.choice for p in first.points]
    assert len(found.points) == 5
    with pytest.raises(tw.Error, match="choose another file"):
        search(path, question="another network")
    judged = tmp_path / "judged.db"
    search(judged, errors={8: 0.25})
    with pytest.raises(tw.Error, match="choose another file"):
        search(judged, errors={8: 0.5})


KILLED = """
import os, pickle, sys
from tests.exploration.test_search import BOARD, OBJECTIVES, search
from tilewright.exploration.workers import workers

graphs = pickle.load(open(sys.argv[2], "rb"))
with workers(graphs, BOARD, OBJECTIVES, 1, None) as at_work:
    print("begins", flush=True)
    search(sys.argv[1]).run(6, at_work, lambda done, total: print(done, flush=True))
"""


@pytest.mark.exhaustive
def test_a_search_that_is_killed_loses_nothing(graphs, tmp_path):
    """By SIGKILL, in whatever it is doing then."""
    path, network = tmp_path / "search.db", tmp_path / "graphs"
    network.write_bytes(pickle.dumps(graphs))
    arguments = [sys.executable, "-c", KILLED, path, network]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.strip() == "3":
                process.kill()
    assert process.returncode == -signal.SIGKILL
    again = search(path)
    assert 3 <= again.done < 6
    found = run(graphs, again, 6)
    assert len(found.points) == 6
    assert len({point.name for point in found.points}) == 6
    assert found.default is found.points[0]
    for point in found.points:
        own = evaluate(graphs, BOARD, point.choice, OBJECTIVES)
        assert list(own.values.values()) == list(point.values.values())


def test_what_cannot_be_or_does_not_fit_is_not_compiled(graphs):
    space = replace(SPACE, rows=(4, 16), act_depth=(1024, 65536))
    found = run(graphs, search(space=space), 4)
    assert {p.choice.engine.act_depth for p in found.points} == {1024}
    chosen = space.of(get_board(BOARD).engine, (8,)) | {"act_depth": 65536}
    assert "DP16KD: " in misfit(BOARD, choice_of(get_board(BOARD).engine, chosen))


@pytest.mark.parametrize("board", sorted(BOARDS.all()))
def test_every_boards_own_engine_is_in_its_space_and_fits(board):
    """The ULX3S-85F had eight tables, the space none or two: it was not tried."""
    own = get_board(board).engine
    chosen = Space.around(own).of(own, (8,))
    assert choice_of(own, chosen).engine.digest == own.digest
    assert not misfit(board, choice_of(own, chosen))


def test_what_does_not_reach_the_clock_or_is_fuller_than_any_routed_is_no_choice(monkeypatch):
    board = get_board(BOARD)
    own = choice_of(board.engine, SPACE.of(board.engine, (8,)))

    def routed(mhz, share):
        kinds = dict.fromkeys(("TRELLIS_COMB", "TRELLIS_FF", "MULT18X18D", "DP16KD"), share)
        system = clock.Routed("a board", "ecp5", True, True, mhz, kinds)
        monkeypatch.setattr(clock, "_routed", lambda: (system,))
        return misfit(BOARD, own)

    assert routed(board.clock_mhz, 0.9) == ""
    assert "MHz at most, and the board's clock has 100" in routed(board.clock_mhz * 0.9, 0.9)
    assert "of the fullest system that was routed 10%" in routed(board.clock_mhz, 0.1)
    # Nothing is known against engines where none of their kind was routed.
    monkeypatch.setattr(clock, "_routed", tuple)
    assert misfit(BOARD, own) == ""


def test_engines_smaller_than_a_share_of_the_boards_are_not_tried(graphs):
    found = run(graphs, search(space=replace(SPACE, smallest=0.5)), 4)
    own = get_board(BOARD).engine.multipliers
    assert {p.choice.engine.multipliers >= own / 2 for p in found.points} == {True}
    assert any(p.choice.engine.multipliers < own for p in found.points)
    with pytest.raises(tw.Error, match=r"smallest must be in 0\.\.1"):
        Space(smallest=2)


def test_a_space_that_is_used_up_ends_the_search(graphs):
    found = run(graphs, search(), 100)
    assert {p.choice.engine.rows for p in found.points} == {2, 4}
    assert 4 <= len(found.points) <= 8


def test_file_comes_back_and_others_are_refused(graphs, tmp_path):
    found = run(graphs, search(), 2)
    found.save(tmp_path / "found.json")
    assert Exploration.load(tmp_path / "found.json") == found
    for text in ("[]", '{"points": [{}]}', "{", '{"points": 3, "objectives": 1}'):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(tw.Error, match="is not what `explore` writes"):
            Exploration.load(tmp_path / "other.json")


def test_wrong_arguments_are_refused(graphs):
    net = object()
    for arguments, match in (
        ({"objectives": ()}, "at least one"),
        ({"objectives": ("speed",)}, "must be one of 'latency'"),
        ({"objectives": ("error",)}, "labelled"),
        ({"evaluations": 0}, "at least 1"),
        ({"board": "nobody"}, "no board"),
    ):
        with pytest.raises(tw.Error, match=match):
            tw.explore(net, None, **{"board": BOARD} | arguments)


WORKING = """
import os, pickle, sys
from tests.exploration.test_search import BOARD, OBJECTIVES, search
from tilewright.exploration.workers import workers

if __name__ == "__main__":
    graphs = pickle.load(open(sys.argv[1], "rb"))
    with workers(graphs, BOARD, OBJECTIVES, 2, None) as at_work:
        search().run(2, at_work, lambda done, total: None)
        print(*at_work._pool._processes, flush=True)
        sys.stdin.read()
"""


@pytest.mark.exhaustive
@pytest.mark.skipif(not Path("/proc").exists(), reason="no /proc")
def test_workers_end_with_a_search_that_is_killed(graphs, tmp_path):
    """They waited for work for ever, some 280 MB each."""
    network, script = tmp_path / "graphs", tmp_path / "working.py"
    network.write_bytes(pickle.dumps(graphs))
    script.write_text(WORKING)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, script, network]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        children = [Path("/proc") / pid for pid in process.stdout.readline().split()]
        assert len(children) == 2
        assert all(child.exists() for child in children)
        process.kill()
    until = time.monotonic() + 30
    while any(child.exists() for child in children):
        assert time.monotonic() < until
        time.sleep(0.1)


def test_what_a_search_has_found_is_read_from_its_file(graphs, tmp_path):
    found = run(graphs, search(tmp_path / "search.db"), 3)
    assert Exploration.load(tmp_path / "search.db") == found
    for name, fill in (("empty.db", b""), ("text.db", b"SQLite format 3\0 or not"), ("a.db", None)):
        if fill is not None:
            (tmp_path / name).write_bytes(fill)
        with pytest.raises(tw.Error, match=name):
            Exploration.load(tmp_path / name)


def test_a_file_that_cannot_be_a_searchs_is_refused(tmp_path):
    (tmp_path / "text.db").write_text("hello")
    for path in (tmp_path / "text.db", tmp_path, tmp_path / "text.db" / "search.db"):
        with pytest.raises(tw.Error, match="cannot be a search's file"):
            search(path)


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_a_cluster_finds_the_same_values(graphs):
    """Two workers, each a process of its own."""
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, workers(graphs, BOARD, OBJECTIVES, 1, cluster.scheduler_address) as at_work:
        assert at_work.count == 2
        one = search()
        one.run(4, at_work, lambda done, total: None)
    for point in one.result().points:
        own = evaluate(graphs, BOARD, point.choice, OBJECTIVES)
        assert list(own.values.values()) == list(point.values.values())


def test_engines_for_a_tflite_file_round_as_it_does(tmp_path):
    # None fitted: all rounded half to even, as the board's own does.
    file = File()
    x, y = file.tensor((1, 2, 2, 3), 0.02, 3), file.tensor((1, 2, 2, 4), 0.05, -5)
    w = file.tensor((4, 1, 1, 3), [0.01] * 4, data=np.arange(12).reshape(4, 1, 1, 3))
    bias = file.tensor((4,), [0.0002] * 4, data=np.arange(4), dtype=np.int32)
    file.op("CONV_2D", [x, w, bias], [y], "Conv2DOptions", strideW=1, strideH=1)
    path = tmp_path / "net.tflite"
    path.write_bytes(file.data([x], [y]))
    found = tw.explore(path, None, board=BOARD, space=SPACE, evaluations=2)
    assert len(found.points) == 2
    assert {p.choice.engine.rounding for p in found.points} == {"double"}
    assert found.default is None


def test_layers_algorithms_and_sizes_of_groups_are_chosen_too():
    """What they cost is what the network with such groups costs, compiled so."""
    rng = np.random.default_rng(3)
    space = replace(
        SPACE, rows=(4,), cols=(4,), rows_per_requantizer=(2,),
        algorithms={"layer": ("auto", "direct")}, group_channels=(0, 1, 16),
    )  # fmt: skip
    objectives = ("latency", "energy_per_mac")
    found = run({8: grouped_graph(4, rng)}, search(space=space, objectives=objectives), 9)
    seen = {(p.choice.group_channels, p.choice.algorithms["layer"]): p for p in found.points}
    assert sorted(seen) == [(n, a) for n in (0, 1, 16) for a in ("auto", "direct")]
    for (channels, algorithm), point in seen.items():
        graph = grouped_graph(CHANNELS // (channels or 8), rng)
        own = searched(graph, tw.Target.from_board(BOARD), "time", {"layer": algorithm})
        assert point.values["latency, ms"] == own.latency.value
        macs = own.layers[0].macs
        assert point.values["energy_per_mac, pJ"] == own.energy.total.value * 1e6 / macs
    assert [key for key, point in seen.items() if point.board] == [(0, "auto")]
    assert "groups of 16" in seen[16, "direct"].name
    assert "layer=direct" in seen[16, "direct"].name
