"""What to write instead of an ATen operator that has no place in the quantized graph."""

_NORMS = (
    "The engine has no norms by the statistics of its input yet: use nn.BatchNorm2d, which folds "
    "into convolutions."
)
_REMEDIES = {
    "log_softmax": "Leave it out of the model that is quantized; the largest stays the largest.",
    "native_layer_norm": _NORMS,
    "native_group_norm": _NORMS,
    "var": _NORMS,
    "std": _NORMS,
    "einsum": "Write products with constants as convolutions or linear layers.",
    "argmax": "Leave it out of the model that is quantized: compute it on the host.",
    "topk": "Leave it out of the model that is quantized: compute it on the host.",
    "sort": "Leave it out of the model that is quantized: compute it on the host.",
    "where": "Write it with functions of one tensor, such as torch.clamp or torch.relu.",
    "pad": "Pad in the pooling layer (padding=, ceil_mode=), or with zeros behind a ReLU.",
    "grid_sampler_2d": "Use tilewright.nn.DeformConv2d, which samples at offsets.",
}


def remedy_for(operator: str) -> str:
    """Return what a user can do instead of ``operator``, such as "aten.softmax"."""
    name = operator.rpartition(".")[2]
    if "fft" in name:
        return "The engine computes in integers: use a convolution, or compute it on the host."
    return _REMEDIES.get(
        name, "docs/quantize.md lists what can be quantized; compute the rest on the host."
    )
