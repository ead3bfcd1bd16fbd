"""Accuracy on labelled data; and the tutorial of docs/quantize.md, as it is printed there."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tilewright as tw

ROOT = Path(__file__).parents[2]
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 7)).eval()
    images = torch.randn(40, 1, 4, 4)
    engine = tw.EngineConfig(rows=4, cols=4, act_depth=256, weight_depth=256)
    program = tw.compile(tw.quantize(model, [images]), images, tw.Target(engine=engine))
    return program, images


def test_top1_and_top5_are_counted(classifier) -> None:
    program, images = classifier
    scores = program.reference(images)[0]
    order = np.argsort(-scores, axis=1, kind="stable")
    labels = order[:, 0].copy()
    labels[:10] = order[:10, 3]  # of ten images the label is fourth
    assert tw.evaluate(program, (images, labels)) == tw.Evaluation("top1", 0.75, 40)
    assert tw.evaluate(program, (images, labels), metric="top5").value == 1.0
    loader = [(images[i : i + 7], torch.from_numpy(labels[i : i + 7])) for i in range(0, 40, 7)]
    seen = []
    got = tw.evaluate(program, loader, backend="isa", progress=lambda *s: seen.append(s))
    assert (got.value, got.images, seen[-1]) == (0.75, 40, (40, 0))
    single = [(image, int(label)) for image, label in zip(images, labels, strict=True)]
    assert tw.evaluate(program, single[:20]).value == 0.5


def test_a_function_is_a_metric(classifier) -> None:
    program, images = classifier

    def largest(outputs, labels):
        return float(outputs[0].max(1).mean() - labels.mean())

    got = tw.evaluate(program, (images, np.zeros(40)), metric=largest)
    expected = tw.simulate(program, images, backend="golden").dequantized()[0].max(1).mean()
    assert got.metric == "largest"
    assert got.value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.zeros(39, int), {}, "40 images and 39 labels"),
        (np.zeros(40), {}, "needs outputs .N, classes. and integer labels"),
        (np.zeros(40, int), {"metric": "best"}, "metric must be 'top1', 'top5' or a function"),
    ],
)
def test_what_does_not_fit_is_an_error(classifier, labels, options, message) -> None:
    program, images = classifier
    with pytest.raises(tw.Error, match=message):
        tw.evaluate(program, (images, labels), **options)
    with pytest.raises(tw.Error, match="no images"):
        tw.evaluate(program, iter(()))
    with pytest.raises(tw.Error, match="pairs of inputs and labels"):
        tw.evaluate(program, images)


@pytest.mark.slow
def test_the_tutorial_runs_as_it_is_printed(monkeypatch, tmp_path) -> None:
    (code,) = re.findall(
        r"```python\n(# Float.*?)```", (ROOT / "docs/quantize.md").read_text(), re.S
    )
    assert code.count("\n") <= 40
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code, "docs/quantize.md", "exec"), names)
    assert names["accuracy"] > names["float_accuracy"] - 0.005
    assert names["verified"].elements > 0
