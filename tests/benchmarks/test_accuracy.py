"""Accuracy of quantized networks: what the table has, and one network now."""

from dataclasses import asdict

import pytest
import torch

from benchmarks import accuracy, docs


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("case", accuracy.CASES, ids=lambda case: case.name)
def test_table_has_integers_as_good_as_floats(case):
    records = docs.figures("accuracy.json")["networks"]
    wanted = {**asdict(case), "shape": list(case.shape)}
    (record,) = (r for r in records if r["case"] == wanted)
    assert accuracy.Accuracy(**record["accuracy"]).difference >= -accuracy.GOAL


@pytest.mark.slow
def test_digits_lose_nothing_now(one_thread):
    case = accuracy.CASES[0]
    got = accuracy.measure(case, [accuracy.trained(case, fold) for fold in range(accuracy.FOLDS)])
    assert got.float_correct / got.images >= 0.97
    assert got.difference >= -accuracy.GOAL, got


def test_differences_are_points_of_all_images():
    got = accuracy.Accuracy(400, 390, 388, 5, 3, "x", 30.0, 31.0)
    assert got.difference == pytest.approx(-0.5)
    assert got.standard_error == pytest.approx(100 * 8**0.5 / 400)


def test_weights_are_trained_once(one_thread, tmp_path, monkeypatch):
    monkeypatch.setattr(accuracy, "BUILD", tmp_path)
    case = accuracy.Case("digits", (1, 8, 8), 1.0, 1, 1e-2)
    first = accuracy.trained(case, 0).state_dict()
    monkeypatch.setattr(accuracy, "train", lambda *_: pytest.fail("trained again"))
    # The name depends on the training code, so look the file up by the name it got.
    (path,) = tmp_path.iterdir()
    monkeypatch.setattr(accuracy, "weights_path", lambda case, fold: path)
    second = accuracy.trained(case, 0).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
