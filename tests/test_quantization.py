"""Post-training quantization: exactness of what it makes, accuracy, errors."""

import copy
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tilewright as tw
from tilewright.compiler import ir
from tilewright.compiler.ir.inputs import quantize_input
from tilewright.compiler.quantized import Quantization
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.to_integer import to_integer
from tilewright.quantization.ranges import Histogram, Made, Rounded, Search

torch.set_num_threads(1)
SEED = 20240612


class Basic(nn.Module):
    """Residual block whose operands are a ReLU and a convolution, added in place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x
        return self.relu(y)


class Inverted(nn.Module):
    """Linear bottleneck with ReLU6 that reaches its bound."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.body = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Net(nn.Module):
    def __init__(self, block: type[nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.blocks = nn.Sequential(block(8), block(8), nn.Dropout(), block(8))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn(self.stem(x))), 2)
        return self.fc(self.flatten(self.pool(self.blocks(x))))


class Mixed(nn.Module):
    """One tensor in two additions, and an output that is read again."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.c, self.d = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = F.relu(self.a(x))
        u = y + self.b(y)
        v = y + self.c(u)
        return u, F.avg_pool2d(F.relu(self.d(v)), 2)


class Decoder(nn.Module):
    """Transposed convolutions, with batch norm and with groups."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, 8, 3, 2, 1, output_padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.again = nn.ConvTranspose2d(8, 4, 4, 2, 1, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.again(F.relu6(self.bn(self.up(F.relu(self.down(x))))))


class Curved(nn.Module):
    """Activation functions that become tables, one of them a function."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, 2), nn.Conv2d(6, 6, 3)
        self.gelu, self.act = nn.GELU(), nn.Hardswish()
        self.c = nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor):
        return self.c(torch.sigmoid(self.act(self.b(self.gelu(self.a(x))))))


class Gated(nn.Module):
    """Squeeze and excitation; of a product of tensors that cannot be negative, too."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 6, 3, 2), nn.Conv2d(6, 6, 1), nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor):
        x = F.relu(self.a(x))
        x = torch.sigmoid(self.b(F.adaptive_avg_pool2d(x, 1))) * x
        return self.c(x)


class Moving(nn.Module):
    """Splits, shuffles, concatenations, upsampling and pixel shuffles between convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.relu = nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU()
        self.left, self.right = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1)
        self.shuffle, self.up = nn.ChannelShuffle(2), nn.Upsample(scale_factor=2)
        self.mix, self.wide = nn.Conv2d(8, 8, 1), nn.Conv2d(11, 12, 3, padding=1)
        self.to_pixels, self.to_channels = nn.PixelShuffle(2), nn.PixelUnshuffle(2)
        self.last = nn.Conv2d(12, 4, 1)

    def forward(self, x: Tensor):
        a, b = self.relu(self.stem(x)).chunk(2, dim=1)
        c, d = torch.split(self.right(b), [3, 1], 1)
        y = self.shuffle(torch.cat([d, self.left(a), c], 1))
        z = self.wide(torch.cat([self.up(self.relu(self.mix(y))), x], dim=1))
        pixels = self.to_pixels(z)
        return pixels, self.last(F.interpolate(self.to_channels(pixels), scale_factor=2))


def network(block: type[nn.Module]) -> nn.Module:
    torch.manual_seed(SEED)
    model = Net(block) if block in (Basic, Inverted) else block()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 3.0)
            nn.init.normal_(module.bias, 0.0, 0.5)
            nn.init.normal_(module.running_mean, 0.0, 0.2)
            nn.init.uniform_(module.running_var, 0.2, 1.0)
    return model


def batches(count: int = 2) -> list[Tensor]:
    torch.manual_seed(SEED + 1)
    return [torch.randn(4, 3, 16, 16) for _ in range(count)]


def differences(
    model: tw.QuantizedModel, images: Tensor, width: int
) -> tuple[ir.Graph, list[np.ndarray]]:
    """Compare the integer graph with the quantized model in float64, both in steps."""
    result = to_integer(model.graph)
    assert result.rounded_biases == ()
    graph, found, wide = ir.choose_multipliers(result.graph, width), [], []
    kinds = [graph.values[op.input] for op in graph.outputs]
    per_image = [ir.run(graph, [image]) for image in quantize_input(graph, images.double().numpy())]
    outputs = [np.stack([values[op.input] for values in per_image]) for op in graph.outputs]
    floats = model.outputs([images.double()])
    for view, golden in zip(result.results, floats, strict=True):
        kind = kinds[view.sources[0]]
        steps = np.rint(golden.numpy() / kind.scale) + kind.zero_point
        integers = view.of(outputs, kind.zero_point)
        assert integers.shape == golden.shape
        found.append(integers - steps)
        wide.append(np.ptp(steps) > 0.4 * 2**kind.bits)
    assert all(wide), "the golden outputs say too little"
    return graph, found


VARIANTS = {
    "int8": {},
    "4-bit weights": {"weight_bits": 4},
    "powers of two": {"power_of_two": True},
    "narrow": {"weight_bits": 5, "activation_bits": 5},
}


@pytest.mark.parametrize("block", [Basic, Inverted, Mixed, Decoder, Moving, Curved, Gated])
@pytest.mark.parametrize("variant", VARIANTS)
def test_graph_is_the_float64_model(block, variant) -> None:
    images, options = batches(1)[0], VARIANTS[variant]
    model = tw.quantize(network(block), batches(), **options)
    graph, exact = differences(model, images, 31)
    assert not any(d.any() for d in exact)
    _, close = differences(model, images, 18)
    # One step at a layer may become two at the result.
    assert max(np.abs(d).max() for d in close) <= 2 * (not options.get("power_of_two", False))
    bits = options.get("activation_bits", 8)
    assert {t.bits for t in graph.values.values()} == {bits}
    for op in graph.layers:
        if isinstance(op, ir.Add):
            assert op.shared_bits == bits, "operands share a grid and a sign"
            assert {*op.requantize_a.multiplier, *op.requantize_b.multiplier} == {1}
        if isinstance(op, ir.Conv2d | ir.Linear) and set(op.weight.flat) - {0, 1}:
            assert op.weight_bits == options.get("weight_bits", 8)
    if "power_of_two" in options:
        assert all(math.frexp(t.scale)[0] == 0.5 for t in graph.values.values())


@pytest.mark.parametrize("block", [Basic, Inverted])
def test_compiled_program_is_the_golden(block) -> None:
    engine = tw.EngineConfig(rows=8, cols=7, act_depth=1024, weight_depth=512, out_depth=512)
    images = batches(1)[0][:1]
    model = tw.quantize(network(block), batches())
    program = tw.compile(model, images, tw.Target(engine=engine))
    result = tw.simulate(program, images)
    assert np.array_equal(result.outputs[0], program.reference(images)[0])
    assert result.outputs[0].shape == (1, 10), "the model's own shape"
    assert np.allclose(result.dequantized()[0], model(images), atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_report_tells_the_accuracy(variant) -> None:
    model = network(Basic)
    result = tw.quantize_with_report(model, batches(), **VARIANTS[variant])
    report = result.report
    least = {"int8": 30.0, "4-bit weights": 14.0, "powers of two": 25.0, "narrow": 12.0}[variant]
    assert all(x.snr_db is not None and x.snr_db > least for x in report.layers), str(report)
    assert [x.name for x in report.layers][:3] == ["x", "stem", "blocks.0.conv1"]
    assert report.outputs == ("fc",)
    # The last figure is that of the outputs, computed here from the two models.
    images = torch.cat(batches())
    assert report.images == len(images)
    with torch.no_grad():
        expected = model.eval()(images).double()
        noise = result.model(images).double() - expected
    snr = 10 * math.log10(float((expected**2).sum() / (noise**2).sum()))
    assert report.output_snr_db == pytest.approx(snr, abs=0.01)
    assert "blocks.3.conv2" in str(report)
    assert "fc (output)" in str(report)
    assert json.loads(report.to_json())["layers"][1]["name"] == "stem"


def test_float_model_is_not_modified() -> None:
    model = network(Inverted).train()
    before = copy.deepcopy(model.state_dict())
    modules = dict(model.named_modules())
    tw.quantize(model, batches(1))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert dict(model.named_modules()) == modules
    assert all(m.training for m in model.modules())


def test_results_of_a_dictionary_come_in_its_order() -> None:
    model = Call(lambda m, x: {"out": m.conv(x), "aux": [m.act(m.conv(x)), x.mean((2, 3))]})
    quantized = tw.quantize_with_report(model, [IMAGES])
    results = quantized.model(IMAGES)
    with torch.no_grad():
        given = model(IMAGES)
    for have, wanted in zip(results, [given["out"], *given["aux"]], strict=True):
        assert float((have - wanted).norm() / wanted.norm()) < 0.03
    assert len(quantized.report.outputs_snr_db) == 3


def test_a_tensor_that_cannot_be_negative_is_unsigned() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(3), nn.Conv2d(4, 4, 1)
    )
    graph = to_integer(tw.quantize(model, [torch.rand(4, 1, 12, 12)]).graph).graph
    assert [t.signed for t in graph.values.values()] == [False, False, False, False, True]


def test_factors_of_channels_are_signed_and_products_know_their_sign() -> None:
    graph, _ = differences(tw.quantize(Gated(), batches()), batches(1)[0], 18)
    (gate,) = (op for op in graph.layers if isinstance(op, ir.Gate))
    assert [graph.values[v].signed for v in (gate.input, gate.gate, gate.output)] == [
        False,
        True,
        False,
    ]


def test_relu6_ends_at_six() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU6())
    nn.init.constant_(model[0].weight, 1.0)
    images = torch.linspace(-9, 9, 64).reshape(1, 1, 8, 8)
    for power_of_two in (False, True):
        quantized = tw.quantize(model, [images], power_of_two=power_of_two)
        assert float(quantized(images).max()) == pytest.approx(6.0, abs=0.1)
        assert (quantized(images) - model(images)).abs().max() < 0.1


def errors(histogram: Histogram, scale: float, levels: int) -> float:
    scales, high = torch.tensor([scale]).double(), torch.tensor([levels]).double()
    return float(Rounded(histogram).squared_errors(scales, -high, high))


def test_scale_of_least_squared_error() -> None:
    histogram = Histogram()
    rng = np.random.default_rng(SEED)
    values = torch.from_numpy(rng.normal(size=20000))
    for part in values.split(5000):
        histogram.add(part)
    histogram.add(torch.tensor([100.0]))  # grows the range and is clipped
    assert histogram.counts.sum() == 20001
    found = [errors(histogram, t / 15, 15) for t in (0.3, 3.0, 100.0)]
    assert min(found) == found[1], "of three: clips too much, just right, too coarse"
    low = errors(histogram, 3.0 / 15, 15) - 97.0**2
    expected = ((values.abs() - (values.abs() / 0.2).round().clamp(max=15) * 0.2) ** 2).sum()
    assert low == pytest.approx(float(expected), rel=0.05)


def test_a_zero_point_where_values_lie_on_one_side() -> None:
    rng = np.random.default_rng(SEED)
    values = torch.from_numpy(rng.normal(size=20000))
    for x, wanted in ((values, False), (F.silu(values), True)):
        histogram = Histogram()
        histogram.add(x)
        scale, zero_point = Search([Rounded(histogram)]).grid(8)
        assert bool(zero_point) == wanted
        assert zero_point % 2 == 0
        noise = Quantization(scale, zero_point, 8, True).apply(x) - x
        symmetric = Search([Rounded(histogram)]).scale(127, power_of_two=False)
        other = Quantization(symmetric, 0, 8, True).apply(x) - x
        assert noise.square().mean() < (0.5 if wanted else 1.01) * other.square().mean()


def test_the_range_of_a_tables_input_is_what_the_table_sees() -> None:
    histogram = Histogram()
    histogram.add(torch.linspace(-40, 8, 4801))
    plain, seen = (Search([Rounded(histogram, f)]).grid(8) for f in (lambda x: x, F.relu6))
    assert plain[0] == pytest.approx(48 / 254, rel=0.05)
    assert seen[0] < 10 / 254, "values below zero and above six are all alike to ReLU6"


def test_a_difference_is_rounded_once() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x) - F.relu(self.b(x)) * 0.25

    torch.manual_seed(SEED)
    graph = tw.quantize(Model(), batches()).graph
    last = graph.ops[-1]
    assert isinstance(last, q.Conv)
    assert last.groups == 4
    assert last.weight.shape == (4, 2, 1, 1)
    assert [type(op) for op in graph.ops if isinstance(op, q.Binary)] == []


def test_a_table_is_rounded_to_a_grid_of_what_it_makes_of_what_is_stored() -> None:
    stored, result = Histogram(), Histogram()
    x = torch.linspace(-10, 10, 20001)
    stored.add(x)
    result.add(x * 0.7)
    coarse = Quantization(0.5, 0, 8, True)
    made = Made(stored, coarse.apply, lambda x: x * 0.7)
    steps = torch.tensor([0.35, 0.3]).double()
    ends = torch.full_like(steps, -128), torch.full_like(steps, 127)
    blind = Rounded(result).squared_errors(steps, *ends)
    seen = Rounded(result, made=made).squared_errors(steps, *ends)
    assert blind[0] > blind[1], "a finer step is better for exact values"
    assert seen[0] < seen[1], "what is stored lies on 0.7 * 0.5 already"


def test_dead_layer_does_not_break_calibration() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1))
    nn.init.constant_(model[0].bias, -100.0)
    report = tw.quantize_with_report(model, [torch.rand(1, 1, 4, 4)]).report
    assert report.layers[1].snr_db is None
    assert json.loads(report.to_json())["layers"][1]["snr_db"] is None


def test_progress_counts_to_its_total() -> None:
    seen: list[tuple[int, int]] = []
    tw.quantize(network(Mixed), batches(3), progress=lambda *step: seen.append(step))
    assert seen == [(n, 12) for n in range(1, 13)]


class Call(nn.Module):
    def __init__(self, body) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.relu, self.act = nn.ReLU(inplace=True), nn.PReLU()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self, x)


IMAGES = torch.rand(2, 3, 6, 6)
REFUSED = {
    "control flow": (lambda m, x: m.conv(x) if x.sum() > 0 else x, "Call: .*depends on values"),
    "batch": (lambda m, x: m.conv(x).mean(0), "^mean: a mean over the batch"),
    "folded batch": (lambda m, x: m.conv(x).view(-1, 6, 6), "^output: .*batch is not the first"),
    "weights": (lambda m, x: F.conv2d(x, m.conv(x)[:, :, :3, :3].mean(0, True)), "batch"),
    "constant result": (lambda m, x: (m.conv(x), m.conv.weight), "^output.1: .*does not depend"),
    "unused input": (lambda m, x: m.conv.weight * 1, "does not depend"),
    "padding": (lambda m, x: F.pad(m.conv(x), (1, 1), value=-math.inf), "^pad: .*inf"),
    "rounding": (lambda m, x: torch.div(x, 2, rounding_mode="floor"), "rounding_mode"),
    "dtype": (lambda m, x: m.conv(x).to(torch.int32), "^to: a conversion to torch.int32|_to_copy"),
    "indices": (lambda m, x: F.max_pool2d(x, 2, return_indices=True)[1].float(), "."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case) -> None:
    body, message = REFUSED[case]
    with pytest.raises(tw.UnsupportedError, match=message):
        tw.quantize(Call(body), [IMAGES])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no calibration batches"),
        (IMAGES, r"not one tensor: pass \[images\]"),
        (["x"], "batch 0 holds str"),
        ([torch.zeros(1, 3, 4, 4, dtype=torch.int64)], "batch 0 holds torch.int64"),
        ([torch.zeros(0, 3, 4, 4)], r"batch 0 holds torch.float32 \(0, 3"),
        ([IMAGES, IMAGES[:, :, :3]], r"batch 1 has shapes .*3, 6\).*batch 0 has .*6, 6\)"),
        ([IMAGES[:, :2]], r"does not run on calibration batches of \(2, 2, 6, 6\): "),
        ([(IMAGES, torch.zeros(2))], "takes 1 inputs and calibration batch 0 holds 2"),
        ([IMAGES, IMAGES / 0], "batch 1 holds NaN"),
    ],
)
def test_wrong_batches(given, message) -> None:
    with pytest.raises(tw.Error, match=message):
        tw.quantize(Call(lambda m, x: m.conv(x)), given)


@pytest.mark.parametrize("option", ["weight_bits", "activation_bits"])
@pytest.mark.parametrize("bits", [1, 9])
def test_wrong_widths(option, bits) -> None:
    with pytest.raises(tw.Error, match=f"{option} must be in 2..8, not {bits}"):
        tw.quantize(Call(lambda m, x: m.conv(x)), [IMAGES], **{option: bits})


def test_what_is_no_module_is_an_error_that_says_what_to_pass() -> None:
    with pytest.raises(tw.Error, match=r"must be a torch.nn.Module, not int: build the network"):
        tw.quantize(5, [IMAGES])
    for call in (
        lambda: tw.quantize("net.pt", [IMAGES]),
        lambda: tw.compile("net.pt", IMAGES, tw.Target()),
    ):
        with pytest.raises(tw.Error, match=r"net\.pt"):  # a path is a file of a network
            call()
    with pytest.raises(tw.UnsupportedError, match=r"Call: a float network. Quantize it first"):
        tw.compile(Call(lambda m, x: m.conv(x)), IMAGES, tw.Target())


def test_an_exported_program_is_an_error_that_asks_for_its_module() -> None:
    program = torch.export.export(nn.Conv2d(3, 4, 3).eval(), (IMAGES,))
    with pytest.raises(tw.Error, match=r"ExportedProgram is bound .* pass the module"):
        tw.quantize(program, [IMAGES])
    with pytest.raises(tw.Error, match="of its module, quantize it first"):
        tw.compile(program, IMAGES, tw.Target())


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_type_is_quantized(kind) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval().to(kind)
    result = tw.quantize(model, [IMAGES.to(kind)])(IMAGES)
    assert result.dtype == torch.float32
    expected = model.float()(IMAGES.to(kind).float())
    assert float((result - expected).norm() / expected.norm()) < 0.03


def test_a_quantized_model_tells_its_graph_and_its_shapes() -> None:
    model = tw.quantize(network(Mixed), batches(1))
    with pytest.raises(tw.Error, match="quantized for inputs of the shapes"):
        model(batches(1)[0][:, :, :8])
    assert "Conv(x)" in str(model)


def unequal(*between: nn.Module) -> nn.Module:
    """Return two layers; of the channels between, the one that counts is 10,000 times smaller."""
    last = 1 + len(between)
    layers = (nn.Conv2d(3, 2, 1, bias=False), *between, nn.Conv2d(2, 2, 1, bias=False))
    model = nn.Sequential(*layers)
    nn.init.constant_(model[0].weight, 1.0)
    with torch.no_grad():
        model[0].weight[0] *= 1e4
        model[last].weight.copy_(torch.tensor([[[[1e-9]], [[1.0]]]] * 2))
    return model


def test_a_layer_that_loses_its_signal_is_an_error_unless_asked_for() -> None:
    model = unequal(nn.SiLU())  # a table has one scale for both channels: the small one drowns
    images = [torch.rand(4, 3, 6, 6)]
    with pytest.raises(tw.Error, match=r"^2: .* dB are left of its signal.*least_snr_db="):
        tw.quantize(model, images)
    tw.quantize(model, images, least_snr_db=-math.inf)


UP = nn.Upsample(scale_factor=2)


@pytest.mark.parametrize(
    "between", [(), (nn.ReLU(),), (nn.MaxPool2d(2), nn.ReLU()), (nn.LeakyReLU(0.1), UP)]
)
def test_channels_of_unequal_sizes_are_made_equal_where_layers_can(between) -> None:
    report = tw.quantize_with_report(unequal(*between), [torch.rand(4, 3, 6, 6)]).report
    assert report.output_snr_db > 35
