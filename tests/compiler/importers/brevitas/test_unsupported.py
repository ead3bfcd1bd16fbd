"""What cannot be captured is refused: with the layer, the attribute, and a fix that works."""

import re

import brevitas.nn as qnn
import pytest
import torch
import torch.nn.functional as F
from brevitas.core.function_wrapper import FloorSte
from brevitas.inject.enum import FloatToIntImplType
from brevitas.quant import (
    Int8ActPerTensorFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
    Uint8ActPerTensorFloat,
)
from brevitas.quant.shifted_scaled_int import ShiftedUint8WeightPerTensorFloat
from torch import Tensor, nn

from tests.compiler.importers.brevitas.captured import capture, capture_with_report
from tilewright import UnsupportedError
from tilewright.compiler import ir

torch.set_num_threads(1)
IMAGE = torch.zeros(2, 2, 6, 6)


def identity(**kw) -> nn.Module:
    return qnn.QuantIdentity(**({"act_quant": Int8ActPerTensorFloat} | kw))


def conv(**kw) -> nn.Module:
    torch.manual_seed(0)
    fields = {"in_channels": 2, "out_channels": 4, "kernel_size": 3, "bias": False}
    return qnn.QuantConv2d(**(fields | kw))


def chain(*layers: nn.Module) -> nn.Module:
    """input quantizer as ``0``, the layers from ``1`` on, an output quantizer last."""
    return nn.Sequential(identity(return_quant_tensor=True), *layers, identity()).eval()


class Forward(nn.Module):
    """A model whose forward is ``body(model, x)``."""

    def __init__(self, body, **modules: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.quant = identity()
        for name, module in modules.items():
            self.add_module(name, module)
        self.eval()

    def forward(self, x: Tensor):
        return self.body(self, x)


class CustomConv(qnn.QuantConv2d):
    def forward(self, x: Tensor):
        return -super().forward(x)


def nan_batch_norm() -> nn.Module:
    bn = nn.BatchNorm2d(4)
    bn.running_var[2] = -1.0
    return bn


def scale_of(value: float) -> nn.Module:
    model = chain(conv())
    scaling = model[2].act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl
    scaling.forward = lambda *_: torch.tensor(value)
    return model


CASES = {
    "no input quantizer": (
        lambda: nn.Sequential(conv(), identity()).eval(),
        ("0", "input .* is not quantized", "QuantIdentity"),
    ),
    "no output quantizer": (
        lambda: chain(conv())[:2].eval(),
        ("1", "output is not quantized where output reads it", "output_quant"),
    ),
    "unquantized linear output": (
        lambda: nn.Sequential(identity(), nn.Flatten(), qnn.QuantLinear(72, 3, bias=False)).eval(),
        ("2", "output is not quantized", "output_quant=Int8ActPerTensorFloat"),
    ),
    "relu without quantizer": (
        lambda: chain(conv(), nn.ReLU(), conv(in_channels=4)),
        ("1", "ReLU without quantizer where 3 reads it", "QuantReLU"),
    ),
    "float conv": (lambda: chain(nn.Conv2d(2, 4, 3)), ("1", "Conv2d", "brevitas.nn.QuantConv2d")),
    "float linear": (
        lambda: chain(nn.Flatten(), nn.Linear(72, 4)),
        ("2", "Linear", "brevitas.nn.QuantLinear"),
    ),
    "dilated transposed conv": (
        lambda: chain(qnn.QuantConvTranspose2d(2, 4, 3, dilation=2, bias=False)),
        ("1", r"dilation=\(2, 2\)", "dilation=1"),
    ),
    "cut transposed conv": (
        lambda: chain(qnn.QuantConvTranspose2d(2, 4, 3, padding=3, bias=False)),
        ("Sequential", "1: ConvTranspose2d.padding: Padding is less", "supported_ops"),
    ),
    "transposed conv with output_size": (
        lambda: Forward(
            lambda m, x: m.quant(m.up(m.quant(x), [12, 12])),
            up=qnn.QuantConvTranspose2d(2, 4, 2, stride=2, bias=False),
        ),
        ("up", "output_size", "output_padding"),
    ),
    "float transposed conv": (
        lambda: chain(nn.ConvTranspose2d(2, 4, 3)),
        ("1", "ConvTranspose2d", "brevitas.nn.QuantConvTranspose2d"),
    ),
    "sigmoid": (
        lambda: chain(conv(), nn.Sigmoid()),
        ("1", "its output is not quantized where 2 reads it", "QuantIdentity"),
    ),
    "quantized sigmoid": (
        lambda: chain(conv(), qnn.QuantSigmoid()),
        ("1", "its output is not quantized where 2 reads it", "QuantIdentity"),
    ),
    "function without quantizer": (
        lambda: Forward(lambda m, x: torch.sigmoid(m.quant(x))),
        ("sigmoid", "its output is not quantized where output reads it", "QuantIdentity"),
    ),
    "wide function": (
        lambda: chain(qnn.QuantIdentity(bit_width=9), nn.Tanh(), qnn.QuantIdentity()),
        ("2", "from 9 to 8 bits", "at most 8 bits"),
    ),
    "prelu": (lambda: chain(conv(), nn.PReLU()), ("2", "PReLU", "LeakyReLU")),
    "method": (
        lambda: Forward(lambda m, x: m.quant(x).transpose(2, 3)),
        ("transpose", "the function transpose", "supported_ops"),
    ),
    "concatenation of rows": (
        lambda: Forward(lambda m, x: m.quant(torch.cat([m.quant(x), m.quant(x)], 2))),
        ("cat", "over dim=2", "dim=1"),
    ),
    "bilinear": (
        lambda: Forward(
            lambda m, x: m.quant(F.interpolate(m.quant(x), scale_factor=2, mode="bicubic"))
        ),
        ("interpolate", "mode='bicubic'", "nearest"),
    ),
    "slice of rows": (
        lambda: Forward(lambda m, x: m.quant(m.quant(x)[:, :, 1:])),
        ("getitem", "the index", "Slice channels only"),
    ),
    "max pool ceil_mode": (
        lambda: chain(nn.MaxPool2d(4, ceil_mode=True)),
        ("1", "ceil_mode=True", "ceil_mode=False"),
    ),
    "avg pool ceil_mode": (
        lambda: chain(nn.AvgPool2d(4, ceil_mode=True)),
        ("1", "ceil_mode=True", "ceil_mode=False"),
    ),
    "max pool indices": (
        lambda: Forward(lambda m, x: F.max_pool2d(m.quant(x), 2, return_indices=True)),
        ("max_pool2d_with_indices", "the function max_pool2d_with_indices", "return_indices=False"),
    ),
    "avg pool count_include_pad": (
        lambda: chain(nn.AvgPool2d(2, padding=1, count_include_pad=False)),
        ("1", "count_include_pad=False with padding", "count_include_pad=True"),
    ),
    "adaptive pool not dividing": (
        lambda: chain(nn.AdaptiveAvgPool2d(4)),
        ("1", r"output_size=\(4, 4\) of an input of \(6, 6\)", "divides"),
    ),
    "truncating pool": (
        lambda: chain(qnn.TruncAvgPool2d(2, return_quant_tensor=False)),
        ("1", "TruncAvgPool2d", "nn.AvgPool2d followed by"),
    ),
    "pool without quantizer": (
        lambda: chain(nn.AvgPool2d(2), conv(kernel_size=1)),
        ("1", "not quantized where 2 reads it", "QuantIdentity"),
    ),
    "pool of an accumulator": (
        lambda: chain(conv(), nn.MaxPool2d(2)),
        ("1", "not quantized where 2 reads it", "QuantIdentity"),
    ),
    "bias off the grid": (
        lambda: chain(conv(bias=True)),
        ("1", "bias of channel 0 is .* off the accumulator's grid", "Int32Bias"),
    ),
    "NaN in batch norm": (
        lambda: chain(conv(), nan_batch_norm()),
        ("1", "channel 2 has the scale nan", "NaN"),
    ),
    "batch norm without conv": (
        lambda: chain(nn.BatchNorm2d(2)),
        ("1", "does not directly follow", "depthwise"),
    ),
    "batch norm after relu": (
        lambda: chain(conv(), nn.ReLU(), nn.BatchNorm2d(4)),
        ("3", "does not directly follow", "behind a convolution"),
    ),
    "batch norm without statistics": (
        lambda: chain(conv(), nn.BatchNorm2d(4, track_running_stats=False)),
        ("2", "track_running_stats=False", "track_running_stats=True"),
    ),
    "negative scale": (lambda: scale_of(-0.5), ("2", "act_quant has the scale -0.5", "positive")),
    "NaN scale": (lambda: scale_of(float("nan")), ("2", "act_quant has the scale nan", "finite")),
    "wide weights": (
        lambda: chain(conv(weight_bit_width=9)),
        ("1", "weights have 9 bits", "2 to 8"),
    ),
    "binary weights": (
        lambda: chain(conv(weight_bit_width=1)),
        ("1", "weight", ""),
    ),
    "wide activations": (
        lambda: chain(identity(bit_width=17)),
        ("1", "act_quant has 17 bits", "2 to 16"),
    ),
    "float weights": (
        lambda: chain(conv(weight_quant=None)),
        ("1", "weight_quant is None", "Int8WeightPerTensorFloat"),
    ),
    "asymmetric weights": (
        lambda: chain(conv(weight_quant=ShiftedUint8WeightPerTensorFloat)),
        ("1", "weights have a non-zero zero point|weights are unsigned", "Int8WeightPerTensor"),
    ),
    "rounding mode": (
        lambda: chain(identity(float_to_int_impl_type=FloatToIntImplType.FLOOR)),
        ("1", f"rounds by {FloorSte.__name__}", "ROUND"),
    ),
    "per-channel activations": (
        lambda: chain(
            identity(
                scaling_per_output_channel=True,
                per_channel_broadcastable_shape=(1, 2, 1, 1),
                scaling_stats_permute_dims=(1, 0, 2, 3),
            )
        ),
        ("1", "2 scales", "one scale per tensor"),
    ),
    "padding mode": (
        lambda: chain(conv(padding=1, padding_mode="reflect")),
        ("1", "padding_mode='reflect'", "padding_mode='zeros'"),
    ),
    "training mode": (
        lambda: chain(conv()).train(),
        ("Sequential", "training mode", "eval"),
    ),
    "one layer in training mode": (
        lambda: (m := chain(conv(), nn.BatchNorm2d(4)), m[2].train())[0],
        ("2", "training mode", "eval"),
    ),
    "dynamic control flow": (
        lambda: Forward(lambda m, x: m.quant(x) if x.sum() > 0 else x),
        ("Forward", "cannot be traced", "control flow"),
    ),
    "wrong channels": (
        lambda: chain(conv(in_channels=3)),
        ("1", "does not run on the example inputs", "shape"),
    ),
    "overridden forward": (
        lambda: chain(CustomConv(2, 4, 3, bias=False)),
        ("1", "CustomConv", "supported_ops"),
    ),
    "reshape": (
        lambda: Forward(lambda m, x: m.quant(x).view(x.size(0), 1, 12, 6)),
        ("view", r"a reshape from \(2, 6, 6\) to \(1, 12, 6\)", "nn.Flatten"),
    ),
    "broadcast": (
        lambda: Forward(lambda m, x: m.quant(m.quant(x) + m.quant(x)[:, :1])),
        ("add", r"shapes \(2, 6, 6\) and \(1, 6, 6\)", "same shape"),
    ),
    "difference": (
        lambda: Forward(lambda m, x: m.quant(m.quant(x) - m.quant(x))),
        ("sub", "sub of two tensors", "take two tensors"),
    ),
    "added parameter": (
        lambda: Forward(lambda m, x: m.quant(m.quant(x) + m.w.weight), w=nn.Linear(6, 6)),
        ("add", "an operand that is not an activation", "model's inputs"),
    ),
    "scaled addition": (
        lambda: Forward(lambda m, x: m.quant(torch.add(m.quant(x), m.quant(x), alpha=2))),
        ("add", "alpha", "without alpha"),
    ),
    "addition without quantizer": (
        lambda: Forward(lambda m, x: m.quant(x) + m.quant(x)),
        ("add", "not quantized", "QuantIdentity"),
    ),
    "in-place on a tensor that is read again": (
        lambda: Forward(
            lambda m, x: (lambda y: (m.quant(y.add_(m.b(y))), m.quant(y)))(m.quant(x)),
            b=identity(bit_width=4),
        ),
        ("add_", "in-place", "out-of-place"),
    ),
    "input quantized twice": (
        lambda: Forward(lambda m, x: (m.quant(x), m.b(x)), b=identity(bit_width=4)),
        ("b", "quantized a second time", "once"),
    ),
    "dictionary of results": (
        lambda: Forward(lambda m, x: {"y": m.quant(x)}),
        ("output", "dict", "tuple or list"),
    ),
    "active dropout": (
        lambda: Forward(lambda m, x: m.quant(F.dropout(m.quant(x), 0.5))),
        ("dropout", "training=True", "self.training"),
    ),
    "linear on an image": (
        lambda: chain(qnn.QuantLinear(6, 3, bias=False)),
        ("1", "its input has the shape", "nn.Flatten"),
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES)
def test_refused(case) -> None:
    build, (where, what, remedy) = CASES[case]
    with pytest.raises(UnsupportedError, match=what) as caught:
        capture(build(), IMAGE)
    error = caught.value
    name = error.where.rsplit(".", 1)[-1].split("_1")[0]
    assert name == where, str(error)
    assert error.remedy
    assert re.search(what, error.what), str(error)
    assert re.search(remedy, error.remedy), str(error)


@pytest.mark.parametrize("example", [torch.zeros(1, 2, 6, 6, 6), torch.zeros(0, 2, 6, 6), "image"])
def test_example_inputs_must_be_images(example) -> None:
    with pytest.raises(UnsupportedError, match="example input 0"):
        capture(chain(conv()), example)


def test_number_of_example_inputs() -> None:
    with pytest.raises(UnsupportedError, match="2 example inputs for 1 arguments"):
        capture(chain(conv()), (IMAGE, IMAGE))


def test_unused_input_is_refused() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.quant = identity()

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.quant(x)

    with pytest.raises(UnsupportedError, match="y: the model does not use this input"):
        capture(Two().eval(), (IMAGE, IMAGE))


def test_scale_that_changes_while_running_is_refused() -> None:
    model = chain(conv(), identity(return_quant_tensor=True))
    scaling = model[2].act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl
    # The sentinel that asks for the scale is zero; the activations of a run are not.
    scaling.forward = lambda x, *_: torch.tensor(0.5 if x.numel() > 1 else 0.25)
    with pytest.raises(UnsupportedError, match=r"2: scale 0\.5 .* but its quantizer says 0\.25"):
        capture(model, IMAGE + 1)


def test_accumulator_overflow_names_the_layer() -> None:
    wide, linear = identity(bit_width=16, return_quant_tensor=True), qnn.QuantLinear(1024, 2, False)
    model = nn.Sequential(wide, nn.Flatten(), linear, identity()).eval()
    nn.init.constant_(model[2].weight, 1.0)
    with pytest.raises(UnsupportedError, match=r"^2: .*accumulator.*beyond int32"):
        capture(model, torch.zeros(1, 1, 32, 32))


def test_round_bias_rounds_and_says_so() -> None:
    model = chain(conv(bias=True))
    (rounded,) = capture_with_report(model, IMAGE, round_bias=True).rounded_biases
    assert rounded.where == "1"
    assert 0 < rounded.error <= 0.5


def test_remedy_for_the_bias_works() -> None:
    model = chain(conv(bias=True, bias_quant=Int32Bias))
    assert capture_with_report(model, IMAGE).rounded_biases == ()


def test_remedies_for_missing_quantizers_work() -> None:
    layer = conv(input_quant=Int8ActPerTensorFloat, output_quant=Uint8ActPerTensorFloat)
    graph = capture(nn.Sequential(layer).eval(), IMAGE)
    assert [op.kind for op in graph.ops] == ["Input", "Conv2d", "Output"]
    assert not graph.values["0"].signed


def test_weights_of_two_bits_and_overlapping_names() -> None:
    model = Forward(lambda m, x: m.x(m.x(m.quant(x))), x=identity(bit_width=3))
    graph = capture(model, IMAGE)
    assert len({op.name for op in graph.ops}) == len(graph.ops)
    layer = conv(weight_quant=Int8WeightPerTensorFloat, weight_bit_width=2)
    op = capture(chain(layer), IMAGE).layers[0]
    assert isinstance(op, ir.Conv2d)
    assert abs(op.weight).max() == 1
