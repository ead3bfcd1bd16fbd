"""The verifier names operator and attribute; the printed form survives, or says where not."""

from dataclasses import replace

import numpy as np
import pytest

from tilewright.compiler import ir
from tilewright.compiler.ir.rules import check_op


def types(**shapes) -> dict[str, ir.TensorType]:
    return {name: ir.TensorType(shape, 8, True, 0.1, -3) for name, shape in shapes.items()}


def scale(channels: int, **kw) -> ir.Requantize:
    return replace(ir.make_requantize([0.01] * channels, 18, -3, -128, 127), **kw)


def conv(**kw) -> ir.Conv2d:
    rng = np.random.default_rng(7)
    fields = {
        "name": "features.0",
        "input": "x",
        "output": "c",
        "weight": rng.integers(-128, 128, (4, 1, 3, 3)),
        "weight_bits": 8,
        "bias": rng.integers(-(10**6), 10**6, 4),
        "stride": (1, 1),
        "padding": (1, 1, 1, 1),
        "dilation": (1, 1),
        "groups": 2,
        "requantize": scale(4),
    }
    return ir.Conv2d(**(fields | kw))


def transposed(**kw) -> ir.ConvTranspose2d:
    rng = np.random.default_rng(8)
    fields = {
        "name": "up",
        "input": "d",
        "output": "t",
        "weight": rng.integers(-128, 128, (4, 2, 3, 2)),
        "weight_bits": 8,
        "bias": rng.integers(-(10**6), 10**6, 4),
        "stride": (1, 1),
        "padding": (1, 1, 0, 1),
        "output_padding": (0, 0),
        "groups": 2,
        "requantize": scale(4),
    }
    return ir.ConvTranspose2d(**(fields | kw))


def deform(**kw) -> ir.DeformConv2d:
    rng = np.random.default_rng(9)
    fields = {
        "name": "deform",
        "input": "d",
        "offset": "o",
        "mask": "a",
        "output": "j",
        "weight": rng.integers(-8, 8, (6, 2, 2, 1)),
        "weight_bits": 4,
        "bias": rng.integers(-(10**6), 10**6, 6),
        "stride": (1, 1),
        "padding": (1, 0, 0, 0),
        "dilation": (1, 1),
        "groups": 2,
        "offset_groups": 1,
        "requantize": scale(6),
    }
    return ir.DeformConv2d(**(fields | kw))


def rounded(**kw) -> ir.RoundedConv2d:
    """F(2x1,3x3) by columns, with rounded kernels, of stride (2, 1)."""
    rng = np.random.default_rng(9)
    fields = {
        "name": "tiles",
        "input": "b",
        "output": "r",
        "kernels": rng.integers(-300, 300, (6, 4, 2)),
        "data_factors": rng.integers(-2, 3, (6, 5, 3)),
        "output_factors": rng.integers(-2, 3, (6, 2, 1)),
        "bias": rng.integers(-(10**6), 10**6, 4),
        "stride": (2, 1),
        "padding": (1, 1, 0, 1),
        "groups": 2,
        "requantize": scale(4),
    }
    return ir.RoundedConv2d(**(fields | kw))


def weighted_sum(**kw) -> ir.WeightedSum:
    fields = {
        "name": "digits",
        "sources": ("c", "d"),
        "output": "n",
        "factors": np.array([3, -200]),
        "bias": -7,
        "requantize": scale(4),
    }
    return ir.WeightedSum(**(fields | kw))


def dynamic(**kw) -> ir.DynamicConv2d:
    fields = {
        "name": "dynamic",
        "input": "d",
        "weight": "m",
        "output": "dynamic",
        "bias": np.arange(4),
        "kernel": (3, 3),
        "stride": (1, 1),
        "padding": (1, 1, 1, 1),
        "dilation": (1, 1),
        "groups": 4,
        "requantize": scale(4),
    }
    return ir.DynamicConv2d(**(fields | kw))


def recurrence(**kw) -> ir.Recurrence:
    fields = {
        "name": "slices",
        "input": "d",
        "output": "slices",
        "weight": np.ones((4, 4, 1, 3), int),
        "weight_bits": 3,
        "bias": np.arange(4),
        "columns": True,
        "backwards": False,
        "requantize_input": scale(4),
        "requantize": scale(4),
    }
    return ir.Recurrence(**(fields | kw))


def graph(**replaced) -> ir.Graph:
    """Every operator once; ``replaced`` gives other operators by value name."""
    values = types(x=(2, 6, 6), c=(4, 6, 6), d=(4, 6, 6), m=(4, 3, 3), s=(4, 3, 3), p=(4, 1, 1))
    values |= types(t=(4, 6, 6), y=(5, 1, 1), k=(8, 6, 6), e=(4, 6, 6), u=(4, 12, 6))
    values |= types(v=(1, 24, 12), w=(9, 8, 4), f=(9, 8, 4))
    values |= types(g=(4, 6, 6), b=(4, 12, 18), j=(6, 6, 6), r=(4, 6, 17), h=(4, 6, 6))
    values |= types(held=(2, 3, 1), n=(4, 6, 6), times=(4, 6, 6))
    values |= types(scores=(18, 6, 6), dynamic=(4, 6, 6), slices=(4, 6, 6))
    values["o"] = ir.TensorType((4, 6, 6), 8, True, 0.25, 0)
    values["a"] = ir.TensorType((2, 6, 6), 8, False, 2.0**-8, 0)
    sum_type = scale(4)
    ops = {
        "x": ir.Input("input", "x"),
        "c": conv(),
        "d": ir.Rescale("rescale", "c", "d", scale(4)),
        "t": transposed(),
        "m": ir.MaxPool2d("pool", "t", "m", (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
        "s": ir.Add("add", "m", "m", "s", scale(4), scale(4), sum_type, 8, True),
        "p": ir.AvgPool2d("mean", "s", "p", (3, 3), (3, 3), (0, 0, 0, 0), scale(4)),
        "y": ir.Linear("fc", "p", "y", np.ones((5, 4), int), 2, np.zeros(5, int), scale(5)),
        "k": ir.Concat("cat", ("c", "d"), "k"),
        "e": ir.SelectChannels("split", "k", "e", np.array([7, 0, 2, 1])),
        "u": ir.Upsample("up2", "e", "u", (2, 1)),
        "v": ir.PixelShuffle("shuffle", "u", "v", 2),
        "w": ir.PixelUnshuffle("unshuffle", "v", "w", 3),
        "f": ir.Lookup("function", "w", "f", np.arange(256) // 2),
        "b": ir.UpsampleBilinear("smooth", "c", "b", (2, 3), scale(4)),
        "g": ir.Gate("gate", "d", "p", "g", scale(4)),
        "o": ir.Rescale("offset", "c", "o", scale(4, zero_point=0)),
        "a": conv(
            name="mask",
            output="a",
            weight=np.ones((2, 1, 3, 3), int),
            bias=np.zeros(2, int),
            requantize=scale(2, zero_point=0, qmin=0, qmax=255),
        ),
        "j": deform(),
        "r": rounded(),
        "h": ir.Maximum("larger", "c", "d", "h"),
        "n": weighted_sum(),
        "times": ir.Product("times", "c", "d", "times", scale(4)),
        "scores": ir.MatMul("scores", "d", "m", "scores", True, 2, scale(18)),
        "dynamic": dynamic(),
        "slices": recurrence(),
        "held": ir.Constant("held", "held", np.arange(6).reshape(2, 3, 1)),
    }
    outputs = (ir.Output("out", "y"), ir.Output("aux", "m"))
    return ir.Graph("every operator", values, (*(ops | replaced).values(), *outputs))


def test_graph_verifies_and_knows_its_structure() -> None:
    g = graph()
    g.verify()
    assert [op.name for op in g.layers] == [
        "features.0",
        "rescale",
        "up",
        "pool",
        "add",
        "mean",
        "fc",
        "cat",
        "split",
        "up2",
        "shuffle",
        "unshuffle",
        "function",
        "smooth",
        "gate",
        "offset",
        "mask",
        "deform",
        "tiles",
        "larger",
        "digits",
        "times",
        "scores",
        "dynamic",
        "slices",
    ]
    assert {type(op) for op in g.ops} == set(ir.OPS)
    assert g.producers()["m"].name == "pool"
    assert [op.name for op in g.consumers()["m"]] == ["add", "scores", "dynamic", "aux"]
    assert [op.name for op in g.inputs] == ["input"]
    assert [op.name for op in g.constants] == ["held"]
    assert [op.name for op in g.outputs] == ["out", "aux"]


def add(**kw) -> ir.Add:
    return replace(graph().producers()["s"], **kw)


def pool(**kw) -> ir.MaxPool2d:
    return replace(graph().producers()["m"], **kw)


def mean(**kw) -> ir.AvgPool2d:
    return replace(graph().producers()["p"], **kw)


def linear(**kw) -> ir.Linear:
    return replace(graph().producers()["y"], **kw)


ONES = np.ones((4, 1, 3, 3), int)
BROKEN = [
    ({"held": ir.Constant("held", "held", np.ones((1, 3), int))}, r"Constant.values: .*\(1, 3"),
    ({"held": ir.Constant("held", "held", np.full((2, 3, 1), 999))}, "Constant.values: .*999"),
    ({"c": conv(groups=3)}, "features.0: Conv2d.groups: .*groups=3"),
    ({"c": conv(weight=np.ones((4, 2, 3, 3), int))}, "Conv2d.weight: Weights cover"),
    ({"c": conv(weight_bits=9)}, "Conv2d.weight_bits: .*9 bits"),
    ({"c": conv(weight=ONES * 4, weight_bits=3)}, r"Conv2d.weight: .*4\.\.4 in 3 bits"),
    ({"c": conv(weight=ONES * -5, weight_bits=3)}, r"Conv2d.weight: .*-5\.\.-5"),
    ({"c": conv(bias=np.zeros(3, int))}, "Conv2d.bias: "),
    ({"c": conv(bias=np.full(4, 2**31))}, "Conv2d.bias: .*2147483648"),
    ({"c": conv(bias=np.full(4, 2**31 - 1))}, "Conv2d.accumulator: .*channel "),
    ({"c": conv(stride=(0, 1))}, "Conv2d.stride: "),
    ({"c": conv(dilation=(1, 0))}, "Conv2d.dilation: "),
    ({"c": conv(padding=(1, 1, -1, 1))}, "Conv2d.padding: "),
    ({"c": conv(dilation=(4, 4))}, "Conv2d.output: The dilated kernel"),
    ({"c": conv(stride=(2, 2))}, "Conv2d.output: The declared output shape"),
    ({"c": conv(requantize=scale(3))}, "Conv2d.requantize: .*3 multipliers"),
    ({"c": conv(requantize=scale(4, qmax=128))}, "Conv2d.requantize: .*outside"),
    ({"c": conv(requantize=scale(4, zero_point=-2))}, "Conv2d.requantize: .*zero point -2"),
    ({"t": transposed(weight=np.ones((4, 1, 3, 2), int))}, "up: ConvTranspose2d.weight: Weights"),
    ({"t": transposed(groups=3)}, "ConvTranspose2d.groups: .*groups=3"),
    ({"t": transposed(weight_bits=1)}, "ConvTranspose2d.weight_bits: "),
    ({"t": transposed(weight_bits=7)}, "ConvTranspose2d.weight: Every weight"),
    ({"t": transposed(bias=np.zeros(2, int))}, "ConvTranspose2d.bias: "),
    ({"t": transposed(bias=np.full(4, 2**31 - 1))}, "ConvTranspose2d.accumulator: "),
    ({"t": transposed(stride=(1, 0))}, "ConvTranspose2d.stride: "),
    ({"t": transposed(padding=(1, -1, 0, 1))}, "ConvTranspose2d.padding: Padding is not neg"),
    ({"t": transposed(padding=(1, 3, 0, 1))}, "ConvTranspose2d.padding: Padding is less than"),
    ({"t": transposed(output_padding=(0, 1))}, r"ConvTranspose2d.output_padding: .*\(0, 1\) with"),
    ({"t": transposed(stride=(2, 1))}, "ConvTranspose2d.output: The declared output shape"),
    ({"t": transposed(requantize=scale(3))}, "ConvTranspose2d.requantize: .*3 multipliers"),
    ({"j": deform(weight=np.ones((6, 4, 2, 1), int))}, "deform: DeformConv2d.weight: Weights"),
    ({"j": deform(groups=4)}, "DeformConv2d.groups: .*groups=4"),
    ({"j": deform(weight_bits=3)}, "DeformConv2d.weight: Every weight"),
    ({"j": deform(bias=np.full(6, 2**31 - 1))}, "DeformConv2d.accumulator: "),
    ({"j": deform(dilation=(0, 1))}, "DeformConv2d.dilation: "),
    ({"j": deform(padding=(0, 0, 0, 0), dilation=(6, 1))}, "DeformConv2d.output: The dilated"),
    ({"j": deform(requantize=scale(4))}, "DeformConv2d.requantize: .*4 multipliers"),
    ({"j": deform(offset_groups=3)}, "DeformConv2d.offset_groups: .*offset_groups=3, C=4"),
    ({"j": deform(offset_groups=2)}, r"DeformConv2d.offset, mask: .*\(4, 6, 6\), not \(8, 6, 6\)"),
    ({"j": deform(mask="o")}, "DeformConv2d.mask: .*signed, zero point 0, scale 0.25"),
    ({"j": deform(offset="a")}, "DeformConv2d.offset: .*unsigned, zero point 0, scale 0.0039"),
    (
        {"slices": recurrence(weight=np.ones((4, 4, 1, 2), int))},
        r"slices: Recurrence.weight: .*odd",
    ),
    ({"slices": recurrence(weight=np.ones((4, 2, 1, 3), int))}, "Recurrence.weight: .*4 channels"),
    ({"slices": recurrence(requantize_input=scale(3))}, "Recurrence.requantize_input: .*3 mult"),
    ({"m": pool(kernel=(0, 3))}, "pool: MaxPool2d.kernel: "),
    ({"m": pool(padding=(9, 2, 1, 1))}, "MaxPool2d.padding: Every window holds an element"),
    ({"p": mean(requantize=scale(4, zero_point=-4))}, "mean: AvgPool2d.requantize: "),
    ({"s": add(input_b="d")}, "add: Add.input_b: "),
    ({"s": add(shared_bits=17)}, "Add.shared_bits: .*17 bits"),
    ({"s": add(shared_bits=7)}, "Add.requantize_a, requantize_b: .*outside"),
    ({"s": add(requantize_b=scale(1))}, "requantize_b: 1 multipliers"),
    ({"s": add(shared_signed=False)}, "requantize_a: .*zero_point"),
    ({"y": linear(weight=np.ones((5, 3), int))}, r"fc: Linear.weight: .*C \* H \* W = 4"),
    ({"y": linear(weight=np.full((5, 4), 2))}, "Linear.weight: .*in 2 bits"),
    ({"k": ir.Concat("cat", (), "k")}, "cat: Concat.sources: "),
    ({"n": weighted_sum(sources=("c", "c"))}, "digits: WeightedSum.sources: "),
    ({"n": weighted_sum(sources=("c", "m"))}, "WeightedSum.sources: .*all have the same shape"),
    ({"n": weighted_sum(factors=np.ones(3, int))}, "WeightedSum.factors: There is one factor"),
    ({"k": ir.Concat("cat", ("c", "m"), "k")}, "Concat.sources: .*same rows"),
    ({"k": ir.Concat("cat", ("c", "c", "d"), "k")}, "Concat.output: The declared output shape"),
    (
        {"e": ir.SelectChannels("s", "k", "e", np.array([8]))},
        r"s: SelectChannels.channels: .*8\.\.8",
    ),
    ({"e": ir.SelectChannels("s", "k", "e", np.zeros(0, int))}, "SelectChannels.channels: "),
    ({"u": ir.Upsample("up2", "e", "u", (0, 1))}, "up2: Upsample.factor: "),
    ({"v": ir.PixelShuffle("s", "u", "v", 3)}, "s: PixelShuffle.factor: .*factor 3, C=4"),
    ({"w": ir.PixelUnshuffle("s", "v", "w", 5)}, "s: PixelUnshuffle.factor: .*divides rows"),
    ({"w": ir.PixelUnshuffle("s", "v", "w", 0)}, "s: PixelUnshuffle.factor: Factors"),
    ({"f": ir.Lookup("l", "w", "f", np.zeros(255, int))}, r"l: Lookup.table: .*shape \(255,\)"),
    ({"f": ir.Lookup("l", "w", "f", np.arange(256))}, "l: Lookup.table: .*entries 0..255 outside"),
    (
        {"times": ir.Product("q", "d", "s", "times", scale(4))},
        r"q: Product.input_a, input_b: .*pixels",
    ),
    ({"g": ir.Gate("g", "d", "s", "g", scale(4))}, r"g: Gate.gate: .*shape \(4, 3, 3\), not \(4"),
    (
        {"scores": ir.MatMul("mm", "d", "m", "scores", True, 3, scale(18))},
        r"mm: MatMul.groups: .*groups=3, channels \(4, 4\)",
    ),
    (
        {"scores": ir.MatMul("mm", "d", "m", "scores", False, 1, scale(18))},
        r"mm: MatMul.weight: .*9 pixels for 4 channels",
    ),
    (
        {"scores": ir.MatMul("mm", "x", "m", "scores", True, 1, scale(18))},
        r"mm: MatMul.weight: .*4 channels for 2",
    ),
    ({"dynamic": dynamic(groups=3)}, "dynamic: DynamicConv2d.groups: .*groups=3, C=4, K=4"),
    ({"dynamic": dynamic(groups=2)}, "dynamic: DynamicConv2d.weight: .*9 pixels for 18"),
    ({"dynamic": dynamic(groups=1)}, "dynamic: DynamicConv2d.weight: .*9 pixels for 36"),
    ({"dynamic": dynamic(bias=np.arange(3))}, "dynamic: DynamicConv2d.bias: .*for 4 channels"),
    (
        {"r": rounded(data_factors=np.ones((5, 5, 3), int))},
        "tiles: RoundedConv2d.kernels, data_factors, output_factors: .*as many terms",
    ),
    (
        {"r": rounded(data_factors=np.ones((6, 2, 3), int))},
        r"RoundedConv2d.kernels, data_factors, output_factors: .*stride \(2, 1\)",
    ),
    ({"r": rounded(kernels=np.ones((6, 8), int))}, "data_factors, output_factors: All have three"),
    ({"r": rounded(groups=3)}, "RoundedConv2d.groups: .*groups=3, C=4"),
    ({"r": rounded(kernels=np.ones((6, 4, 3), int))}, "RoundedConv2d.groups: .*kernels cover"),
    ({"r": rounded(kernels=np.full((6, 4, 2), 1 << 15))}, r"RoundedConv2d.kernels: .*in 16 bits"),
    (
        {"r": rounded(output_factors=np.full((6, 2, 1), 1 << 11))},
        r"RoundedConv2d.kernels: .*2048..2048 in 12 bits",
    ),
    ({"r": rounded(bias=np.zeros(3, int))}, "RoundedConv2d.bias: .*3,. for 4 channels"),
    ({"r": rounded(bias=np.full(4, 2**31))}, "RoundedConv2d.bias: .*2147483648"),
    ({"r": rounded(bias=np.full(4, 2**31 - 1))}, "RoundedConv2d.accumulator: .*channel "),
    ({"r": rounded(stride=(0, 1))}, "RoundedConv2d.stride: "),
    ({"r": rounded(padding=(1, 1, -1, 1))}, "RoundedConv2d.padding: "),
    ({"r": rounded(padding=(1, 3, 0, 1))}, "RoundedConv2d.output: The declared output shape"),
    ({"r": rounded(requantize=scale(3))}, "RoundedConv2d.requantize: .*3 multipliers"),
    ({"y": linear(name="mean")}, "mean: Linear.name is used twice"),
    ({"d": ir.Rescale("r", "y", "d", scale(4))}, "r: Rescale reads 'y' before"),
    ({"d": ir.Rescale("r", "c", "c", scale(4))}, "r: Rescale writes 'c' a second time"),
    ({"d": ir.Rescale("r", "c", "q", scale(4))}, "r: Rescale.output 'q' has no type"),
]


@pytest.mark.parametrize(("replaced", "message"), BROKEN)
def test_verify_names_operator_and_attribute(replaced, message) -> None:
    with pytest.raises(ir.VerifyError, match=message):
        graph(**replaced).verify()


def test_pool_must_keep_its_type() -> None:
    g = graph()
    values = dict(g.values) | {"m": replace(g.values["m"], scale=0.2)}
    with pytest.raises(ir.VerifyError, match=r"pool: MaxPool2d.output: .*0\.2"):
        replace(g, values=values).verify()


@pytest.mark.parametrize(
    ("value", "field", "wrong"),
    [
        ("o", "signed", False),
        ("o", "bits", 9),
        ("o", "zero_point", 1),
        ("o", "scale", 0.3),
        ("o", "scale", 2.0),
        ("o", "scale", 2.0**-9),
        ("a", "signed", True),
        ("a", "bits", 9),
        ("a", "scale", 0.3),
        ("a", "scale", 1.0),
    ],
)
def test_offsets_and_masks_are_bytes_in_powers_of_two(value, field, wrong) -> None:
    g = graph()
    values = dict(g.values) | {value: replace(g.values[value], **{field: wrong})}
    attribute = {"o": "offset", "a": "mask"}[value]
    with pytest.raises(ir.VerifyError, match=f"deform: DeformConv2d.{attribute}: .* scale "):
        check_op(g.producers()["j"], values)


def test_every_rule_has_a_test() -> None:
    for rule in {rule for op in ir.OPS for rule in op.RULES}:
        label = f".{rule.attribute}: "
        tested = [m for _, m in BROKEN if label.strip() in m] or rule.attribute == "output"
        assert tested, rule.text


def test_graph_needs_inputs_outputs_and_no_dead_values() -> None:
    g = graph()
    with pytest.raises(ir.VerifyError, match="Input and an Output"):
        replace(g, ops=g.ops[:-2]).verify()
    with pytest.raises(ir.VerifyError, match=r"no operator writes \['dead'\]"):
        replace(g, values=dict(g.values) | types(dead=(1, 1, 1))).verify()


def test_accumulator_bound_is_exact() -> None:
    # 127 * (127 + 3) * 9 inputs * 1 channel plus bias: the last bias that fits, then one more.
    room = 2**31 - 1 - 127 * 130 * 9
    weight = np.full((4, 1, 3, 3), 127)
    graph(c=conv(weight=weight, bias=np.full(4, room))).verify()
    with pytest.raises(ir.VerifyError, match="accumulator"):
        graph(c=conv(weight=weight, bias=np.full(4, room + 1))).verify()


def test_an_odd_zero_point_may_be_one_less() -> None:
    graph(c=conv(requantize=scale(4, zero_point=-4))).verify()


def test_operators_compare_by_content_and_are_read_only() -> None:
    assert conv() == conv()
    assert hash(conv()) == hash(conv())
    assert conv() != conv(weight=conv().weight + (np.arange(4) == 3)[:, None, None, None])
    assert conv() != conv(stride=(2, 1))
    assert ir.Input("a", "x") != ir.Output("a", "x")
    with pytest.raises(ValueError, match="read-only"):
        conv().weight[0, 0, 0, 0] = 1
    with pytest.raises(TypeError, match="weight must be integers"):
        conv(weight=ONES * 0.5)


def test_prints_and_parses_back_equal() -> None:
    g = graph()
    text = ir.print_graph(g)
    assert ir.parse_graph(text) == g
    assert '  sources = ["c", "d"]\n' in text
    assert ir.print_graph(ir.parse_graph(text)) == text
    assert "  stride = [2, 2]\n" in text


def test_scales_and_wide_weights_survive_printing() -> None:
    values = {"x": ir.TensorType((2, 6, 6), 8, True, 0.1 + 2**-56, 0)}
    values['odd name "#1'] = ir.TensorType((2, 6, 6), 16, False, 5e-324, 7)
    op = ir.Rescale("a b", "x", 'odd name "#1', ir.make_requantize([0.3, 1e-9], 31, 7, 0, 9))
    g = ir.Graph("g", values, (ir.Input("i", "x"), op, ir.Output("o", op.output)))
    assert ir.parse_graph(ir.print_graph(g)) == g


def line_of(text: str, fragment: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), 1) if fragment in line)


DAMAGE = [
    ("tilewright-graph 1", "tilewright-graph 9", "first line"),
    ('name "every operator"', "name every", "cannot read"),
    ("bits=8 signed=true", "bits=eight signed=true", "a value needs"),
    ("zero_point=-3", "zero_point=-300", "zero_point must be"),
    ("scale=0.1", "scale=nan", "scale must be"),
    ("op MaxPool2d", "op MinPool2d", "no operator is called 'MinPool2d'"),
    ("  stride = [2, 2]", "  strides = [2, 2]", "lacks the attribute 'stride'"),
    ("  stride = [2, 2]\n", "", "lacks the attribute 'stride'"),
    ("  stride = [2, 2]", "  stride = [2, 2]\n  stride = [2, 2]", "expected one"),
    ("  stride = [2, 2]", "  stride = [2, 2]\n  tilt = 1", "no attribute 'tilt'"),
    ("  stride = [2, 2]", "  stride = 2", "stride must be of type tuple"),
    ("  stride = [2, 2]", "  stride = [2, 2.5]", "list of integers"),
    ("  groups = 2", "  groups = 2,", "cannot read"),
    ("  groups = 2", "  groups = true", "groups must be of type int"),
    ("int8 [4, 1, 3, 3] e", "int8 [4, 1, 3, 3] f", "damaged array"),
    ("int8 [4, 1, 3, 3]", "int8 [4, 1, 3, 4]", "damaged array"),
    ('sources = ["c", "d"]', 'sources = ["c", 4]', "list of names"),
    ("requantize.shift = [", "requantize.shift = [64, ", "shift"),
    ("\nend\n", "\n", "ends before 'end'"),
    ("\nend\n", "\nend\nmore\n", "text after 'end'"),
]


@pytest.mark.parametrize(("old", "new", "message"), DAMAGE)
def test_damage_is_reported_with_its_line(old, new, message) -> None:
    text = ir.print_graph(graph())
    assert old in text
    with pytest.raises(ir.ParseError, match=message) as caught:
        ir.parse_graph(text.replace(old, new, 1))
    lines = len(text.splitlines())
    assert 1 <= caught.value.line <= lines + 2
    assert str(caught.value).startswith(f"line {caught.value.line}: ")


def test_reported_line_is_the_damaged_one() -> None:
    text = ir.print_graph(graph())
    with pytest.raises(ir.ParseError) as caught:
        ir.parse_graph(text.replace("  groups = 2", "  groups = ?"))
    assert caught.value.line == line_of(text, "groups = 2")


@pytest.mark.parametrize("seed", range(60))
def test_random_damage_never_crashes(seed) -> None:
    rng = np.random.default_rng(seed)
    original = graph()
    text = ir.print_graph(original)
    start = int(rng.integers(len(text)))
    stop = start + int(rng.integers(1, 30))
    filler = "".join(chr(c) for c in rng.integers(32, 127, int(rng.integers(0, 4))))
    try:
        ir.parse_graph(text[:start] + filler + text[stop:])
    except (ir.ParseError, ir.VerifyError):
        pass  # any other exception fails the test
