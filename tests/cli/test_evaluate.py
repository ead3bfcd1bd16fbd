"""``tilewright evaluate``."""

import json

import numpy as np
import pytest

import tilewright as tw
from tests.cli.run import invoke, refused


@pytest.fixture(scope="module")
def classifier(float_net):
    """Return a program of seven classes, and images, a quarter of them labelled wrong."""
    folder = float_net.parent
    invoke("quantize", f"{float_net}:classifier", "-o", folder / "c.pt")
    invoke("compile", folder / "c.pt", "-o", folder / "c.tw", "--set", "rows=4", "--set", "cols=4")
    inputs = np.random.default_rng(5).normal(size=(40, 6))
    order = np.argsort(-tw.Program.load(folder / "c.tw").reference(inputs)[0], 1, kind="stable")
    labels = order[:, 0].copy()
    labels[:10] = order[:10, 3]
    np.savez(folder / "test.npz", inputs=inputs, labels=labels)
    return folder / "c.tw", folder / "test.npz"


@pytest.mark.parametrize("backend", ["golden", "isa"])
def test_evaluate_counts(classifier, tmp_path, backend):
    program, inputs = classifier
    path = tmp_path / "figures.json"
    options = ("--inputs", inputs, "--backend", backend, "--json", path)
    assert "top1: 75.00% of 40 images" in invoke("evaluate", program, *options)
    expected = {"metric": "top1", "value": 0.75, "images": 40, "backend": backend}
    assert json.loads(path.read_text()) == expected
    assert "top5: 100.00%" in invoke("evaluate", program, *options, "--metric", "top5")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": np.zeros((3, 6))}, "has no array 'labels'; it has 'inputs'"),
        ({"labels": np.zeros(3, int)}, "has no array 'input"),
        ({"inputs": np.zeros((3, 6)), "labels": np.zeros(2, int)}, "3 images and 2 labels"),
        ({"inputs": np.zeros((3, 5)), "labels": np.zeros(3, int)}, "must have shape (N, 6)"),
        ({"inputs": np.zeros((3, 6)), "labels": np.zeros(3)}, "integer labels"),
        ({"inputs": np.zeros((3, 6)), "labels": np.int64(3)}, "an entry for each image"),
        ({"inputs": np.zeros((2, 6)), "labels": np.array([-1, 9])}, "labels must be in 0..6"),
        ({"inputs": np.full((3, 6), None), "labels": np.zeros(3)}, "is not a .npz file"),
    ],
)
def test_evaluate_refuses_in_one_line(capsys, classifier, tmp_path, arrays, message):
    path = tmp_path / "test.npz"
    np.savez(path, **arrays)
    assert message in refused(capsys, "evaluate", classifier[0], "--inputs", path)


def test_evaluate_of_no_file(capsys, classifier, tmp_path):
    (tmp_path / "bad.npz").write_text("no archive")
    for name in ("absent.npz", "bad.npz"):
        arguments = ("evaluate", classifier[0], "--inputs", tmp_path / name)
        assert name in refused(capsys, *arguments)
