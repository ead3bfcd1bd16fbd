"""What to do instead, for operators that have no way into the quantized graph."""

from __future__ import annotations

_DEFAULT = "Cut the model before it, or write it with operators of docs/onnx.md."
_DYNAMIC = (
    "Scales must be constants: use onnxruntime.quantization.quantize_static, not quantize_dynamic."
)
_BEFORE = "Cut the model before it."
_UNROLL = "Quantize the PyTorch module instead, tw.quantize(module, batches): steps are unrolled."
_QONNX = (
    "Convert it: qonnx.util.convert, `qonnx-convert --output-style qcdq model.onnx`, or export "
    "with brevitas.export.export_onnx_qcdq."
)
_REMEDIES = {
    "DynamicQuantizeLinear": _DYNAMIC, "MatMulInteger": _DYNAMIC, "ConvInteger": _DYNAMIC,
    "com.microsoft.DynamicQuantizeMatMul": _DYNAMIC,
    "com.microsoft.MatMulIntegerToFloat": _DYNAMIC,
    "Softmax": "The largest element stays the largest without it.",
    "LogSoftmax": "The largest element stays the largest without it.",
    "ArgMax": _BEFORE, "TopK": _BEFORE, "NonMaxSuppression": _BEFORE,
    "LayerNormalization": "Use BatchNormalization, which folds into the convolution before it.",
    "GroupNormalization": "Use BatchNormalization, which folds into the convolution before it.",
    "InstanceNormalization": "Use BatchNormalization, which folds into the convolution before it.",
    "If": "Decide it when the model is exported.", "Loop": "Unroll it.", "Scan": "Unroll it.",
    "LSTM": _UNROLL, "GRU": _UNROLL, "RNN": _UNROLL,
    "com.microsoft.FusedConv": "Save the model at ORT_ENABLE_BASIC, without fused operators.",
    "BitShift": "Use integers behind quantizers only.",
}  # fmt: skip


def remedy_for(domain: str, operator: str) -> str:
    """Return what to do instead of an operator."""
    if "qonnx" in domain or "brevitas" in domain or domain == "finn.custom_op.general":
        return _QONNX
    if operator.startswith("QLinear"):
        return "Quantize with quant_format=QuantFormat.QDQ, whose operators are standard ones."
    key = operator if domain in ("", "ai.onnx") else f"{domain}.{operator}"
    return _REMEDIES.get(key, _DEFAULT)
