"""``tilewright simulate``."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import tilewright as tw
from tests.cli.run import invoke, refused
from tilewright.cli import app
from tilewright.cli.simulate import parse_window


def test_simulate_writes_what_the_api_returns(program, tmp_path):
    inputs = np.random.default_rng(1).normal(size=(2, 3, 6, 6)).astype(np.float32)
    np.save(tmp_path / "in.npy", inputs)
    outputs, figures = tmp_path / "out.npz", tmp_path / "figures.json"
    text = invoke(
        *("simulate", program, "--inputs", tmp_path / "in.npy"),
        *("--output", outputs, "--json", figures),
    )
    expected = tw.simulate(tw.Program.load(program), inputs, backend="golden").outputs
    with np.load(outputs) as written:
        np.testing.assert_array_equal(written["output"], *expected)
    record = json.loads(figures.read_text())
    assert record["backend"] == "isa"
    assert f"{record['cycles']:,}" in text
    assert sum(layer["macs"] for layer in record["layers"]) == 5 * 3 * 9 * 36


def test_simulate_without_inputs_and_cycles(program):
    assert "does not count cycles" in invoke("simulate", program, "--backend", "golden")


def test_simulate_writes_a_timeline(program, tmp_path):
    path = tmp_path / "timeline.json"
    invoke("simulate", program, "--timeline", path)
    events = json.loads(path.read_text())["traceEvents"]
    tracks = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    assert sorted(tracks.values()) == ["compute", "load", "store"]
    slices = [e for e in events if e["ph"] == "X"]
    result = tw.simulate(tw.Program.load(program), np.zeros((1, 3, 6, 6), int))
    assert len(slices) == sum(map(len, result.starts.values()))
    assert max(e["args"]["done"] for e in slices) + 1 == result.cycles
    for track in tracks:
        ends = 0
        for event in (e for e in slices if e["tid"] == track):
            assert event["ts"] >= ends
            assert event["dur"] > 0
            ends = event["ts"] + event["dur"]


def test_simulate_in_rtl_with_checkpoint_and_waves(small, tmp_path):
    waves = tmp_path / "waves.fst"
    data = tmp_path / "in.npy"
    np.save(data, np.random.default_rng(2).integers(-128, 128, (2, 3, 6, 6)))
    arguments = (
        *("simulate", small, "--backend", "rtl", "--inputs", data),
        *("--checkpoint", tmp_path / "state", "--output", tmp_path / "out.npz"),
    )
    first = invoke(*arguments, "--waves", f"{waves}:100:200")
    assert waves.stat().st_size > 0
    # Finished images are not run again, and give the same.
    assert len(list((tmp_path / "state").iterdir())) == 2
    assert invoke(*arguments) == first
    expected = tw.simulate(tw.Program.load(small), np.load(data), backend="golden").outputs
    with np.load(tmp_path / "out.npz") as written:
        np.testing.assert_array_equal(written["output"], *expected)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ("x.fst", "must be FILE:FIRST:LAST"),
        ("x.fst:3:2", "FIRST <= LAST"),
        ("x.fst:a:2", "must be FILE:FIRST:LAST"),
        ("x.txt:1:2", r"must end in .fst or .vcd"),
    ],
)
def test_a_window_that_is_none(window, message):
    with pytest.raises(tw.Error, match=message):
        parse_window(window)


def test_only_rtl_has_waves(program):
    with pytest.raises(tw.Error, match="has no checkpoint and no waveforms"):
        tw.simulate(tw.Program.load(program), np.zeros((1, 3, 6, 6), int), waves=("x.fst", 0, 1))


def test_inputs_that_are_not_a_file(program, tmp_path):
    (tmp_path / "bad.npy").write_text("no array")
    messages = {"bad.npy": r"is not a \.npy file", "absent.npy": "cannot read .*: No such file"}
    for name, message in messages.items():
        path = tmp_path / name
        with pytest.raises(tw.Error, match=message):
            CliRunner().invoke(
                app, ["simulate", str(program), "--inputs", str(path)], catch_exceptions=False
            )


def test_several_inputs_and_outputs_have_names(pair, pair_inputs, tmp_path):
    path = tmp_path / "out.npz"
    invoke("simulate", pair, "--inputs", pair_inputs, "--backend", "golden", "-o", path)
    loaded = tw.Program.load(pair)
    with np.load(pair_inputs) as file:
        given = [file["features"], file["sequence"]]
    result = tw.simulate(loaded, given, backend="golden")
    with np.load(path) as written:
        for i, shape in enumerate([(3, 4), (3, 3, 3)]):
            name = f"output.{i}"
            assert written[name].shape == shape
            np.testing.assert_array_equal(written[name], result.outputs[i])
            grid = written[f"{name}.scale"], written[f"{name}.zero_point"]
            np.testing.assert_array_equal(
                grid[0] * (written[name] - grid[1]), result.dequantized()[i]
            )
        assert len(written.files) == 6


def test_integers_have_the_models_shapes_too(pair, pair_inputs, tmp_path):
    loaded = tw.Program.load(pair)
    with np.load(pair_inputs) as file:
        given = [file["features"], file["sequence"]]
    shapes = (-1, 6), (-1, 2, 5)
    features, sequence = (
        x.reshape(shape) for x, shape in zip(loaded.quantize(given), shapes, strict=True)
    )
    np.savez(tmp_path / "in.npz", features=features, sequence=sequence)
    results = []
    for inputs in (pair_inputs, tmp_path / "in.npz"):
        invoke("simulate", pair, "--inputs", inputs, "-o", tmp_path / "out.npz")
        with np.load(tmp_path / "out.npz") as written:
            results.append({name: written[name] for name in written.files})
    for name, array in results[0].items():
        np.testing.assert_array_equal(array, results[1][name])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"features": (3, 6)}, "has no array 'sequence'; the program takes features, sequence"),
        (
            {"features": (3, 6), "sequence": (3, 2, 5), "third": (3,)},
            "has 'third'; the program takes features, sequence",
        ),
        ({"features": (3, 6), "sequence": (3, 5, 2)}, "input sequence must have shape (N, 2, 5)"),
        ({"features": (3, 6), "sequence": (2, 2, 5)}, "the same number of images"),
    ],
)
def test_inputs_that_do_not_fit(capsys, pair, tmp_path, arrays, message):
    path = tmp_path / "in.npz"
    np.savez(path, **{name: np.zeros(shape) for name, shape in arrays.items()})
    assert message in refused(capsys, "simulate", pair, "--inputs", path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--waves", "x.txt:1:2", "--backend", "rtl"), "must end in .fst or .vcd"),
        (("--waves", "x.fst:1:2"), "has no checkpoint and no waveforms"),
        (("--timeline", "x.json", "--backend", "golden"), "counts no cycles"),
        (("--output", "/dev/null"), "cannot write /dev/null"),
        (("--inputs", "/dev/zero"), "cannot read /dev/zero"),
    ],
)
def test_simulate_refuses_in_one_line(capsys, program, options, message):
    assert message in refused(capsys, "simulate", program, *options)
