"""The deformable detector of the examples: its measure, and its way to the engine."""

import numpy as np
import pytest
import torch
from torch import nn

from examples.detector.evaluation import average_precision, detections
from examples.detector.model import STRIDE, Detector
from examples.detector.shapes import SIZE, make_shapes
from examples.detector.training import CELLS, make_targets
from tests.compiler.importers.brevitas.captured import capture_with_report
from tilewright import EngineConfig, Target
from tilewright.api.compile import compile_graph
from tilewright.api.simulate import simulate
from tilewright.api.verify import compare_outputs
from tilewright.compiler.importers.brevitas import float64_outputs
from tilewright.nn import QuantDeformConv2dPack

torch.set_num_threads(1)
ENGINE = EngineConfig(
    rows=8, cols=7, act_depth=1024, offset_depth=512, multiplier_width=31, weight_bits=4
)


def test_targets_decode_to_perfect_detections() -> None:
    shapes = make_shapes(32, seed=5)
    targets = make_targets(shapes)
    boxes = torch.zeros(len(shapes), 4, CELLS * CELLS)
    for n, k in targets.present.nonzero().tolist():
        boxes[n, :, targets.cells[n, k]] = targets.boxes[n, k]
    size, offset = boxes.reshape(-1, 4, CELLS, CELLS).split(2, dim=1)
    heatmap = targets.heatmap.clamp(1e-4, 1 - 1e-4).logit()
    found, scores = detections((heatmap, size, offset))
    assert average_precision(found, scores, shapes, 0.95) == pytest.approx(1)
    # Boxes of half the width overlap by one half.
    found, scores = detections((heatmap, size * torch.tensor([0.5, 1]).reshape(2, 1, 1), offset))
    assert average_precision(found, scores, shapes, 0.55) < 0.05


def test_shapes_lie_inside() -> None:
    shapes = make_shapes(64, seed=6)
    there = shapes.boxes[shapes.labels >= 0]
    assert len(there) > 64
    assert there.min() >= 0
    assert there.max() <= SIZE
    assert CELLS * STRIDE == SIZE


def test_quantized_detector_runs_on_the_engine() -> None:
    """golden == isa, and within an LSB of PyTorch: batch norm rounds biases."""
    torch.manual_seed(0)
    images = make_shapes(4, seed=0).images
    model = Detector(deformable=True, quantized=True, width=8).train()
    for module in model.modules():
        if isinstance(module, QuantDeformConv2dPack):
            nn.init.normal_(module.offset_conv.weight, std=0.3)
    with torch.no_grad():
        for _ in range(4):
            model(images)
    model.eval()
    graph = capture_with_report(model, images, multiplier_width=31).graph
    assert [op.kind for op in graph.ops].count("DeformConv2d") == 1
    program = compile_graph(graph, Target(engine=ENGINE))
    arrays = program.quantize(images[:2])
    golden, isa = (simulate(program, arrays, backend=name) for name in ("golden", "isa"))
    compare_outputs(program, golden, isa)
    expected = float64_outputs(model, images[:2], graph)
    for want, have in zip(expected, golden.outputs, strict=True):
        assert np.abs(want - have).max() <= 1
        assert np.ptp(want) > 4
