"""The script that compares random networks on random engines."""

import json

import pytest
import typer

from benchmarks import fuzz
from tests.strategies.agree import Outcome


def test_seeds_are_compared_and_counted(monkeypatch):
    outcomes = {
        1: Outcome(elements=10), 2: Outcome(elements=7, wrong=3),
        3: Outcome(refused="EngineLimitError: layer1: 98 words; the engine's x must be at least 4"),
    }  # fmt: skip

    def run_seed(seed):
        if seed == 4:
            raise KeyError("conv.offset")
        return outcomes[seed]

    monkeypatch.setattr(fuzz, "run_seed", run_seed)
    tally = fuzz.run_seeds(range(1, 5))
    assert (tally.compared, tally.elements, tally.wrong) == (2, 17, 3)
    assert tally.refused == {"the engine's x must be at least #": 1}
    assert tally.failures == [(2, "3 of 7 elements"), (4, "KeyError: 'conv.offset'")]


def test_one_seed_gives_the_same_again():
    assert fuzz.run_seed(5) == fuzz.run_seed(5)


def test_a_range_goes_on_where_it_was(tmp_path):
    path, source = tmp_path / "fuzz.json", fuzz.source_digest()
    record = {
        "seeds": [0, 40], "source": source, "compared": 2, "elements": 9, "wrong": 0,
        "refused": {"a": 1}, "failures": [], "done": [0, 20],
    }  # fmt: skip
    path.write_text(json.dumps(record))
    with pytest.raises(typer.Exit) as end:
        fuzz.main("0:40", 1, path)
    assert end.value.exit_code == 0
    assert json.loads(path.read_text())["elements"] == 9
    # Of other seeds or source, nothing is kept.
    for seeds, digest in ((range(41), source), (range(40), "other")):
        tally, done = fuzz.read(path, seeds, digest)
        assert not tally.elements
        assert not done


@pytest.mark.parametrize("text", ["", "5", "5:5", "9:2", "a:b"])
def test_ranges_that_are_none(text):
    with pytest.raises(typer.BadParameter, match="FIRST:END"):
        fuzz.parse_seeds(text)
