"""Rewrites that work, for modules and functions that the integer graph does not have."""

from torch import nn

_DEFAULT = "Rewrite it with the modules listed in docs/supported_ops.md."
_REMEDIES = {
    "Conv2d": "Use brevitas.nn.QuantConv2d.",
    "Conv1d": "Use brevitas.nn.QuantConv1d.",
    "Linear": "Use brevitas.nn.QuantLinear.",
    "DeformConv2d": "Use tilewright.nn.QuantDeformConv2d.",
    "DeformConv2dPack": "Use tilewright.nn.QuantDeformConv2dPack.",
    "ConvTranspose2d": "Use brevitas.nn.QuantConvTranspose2d.",
    "QuantConv3d": "Use brevitas.nn.QuantConv2d.",
    "TruncAvgPool2d": "Use nn.AvgPool2d followed by brevitas.nn.QuantIdentity.",
    "TruncAdaptiveAvgPool2d": "Use nn.AdaptiveAvgPool2d followed by brevitas.nn.QuantIdentity.",
    "AdaptiveMaxPool2d": "Use nn.MaxPool2d with an explicit kernel.",
    "QuantCat": "Use torch.cat on tensors that one shared QuantIdentity has quantized.",
    "concat": "Use torch.cat.",
    "transpose": "Use the modules listed in docs/supported_ops.md, such as nn.ChannelShuffle.",
    "permute": "Use the modules listed in docs/supported_ops.md, such as nn.ChannelShuffle.",
    "pad": "Use the padding argument of the QuantConv2d behind it.",
    "ZeroPad2d": "Use the padding argument of the QuantConv2d behind it.",
    "LayerNorm": "Use nn.BatchNorm2d, which folds into the convolution before it.",
    "GroupNorm": "Use nn.BatchNorm2d, which folds into the convolution before it.",
    "Softmax": "Leave it out of the compiled model; the largest output stays the largest.",
    "softmax": "Leave it out of the compiled model; the largest output stays the largest.",
    "PReLU": "Use nn.LeakyReLU between two quantizers, or brevitas.nn.QuantReLU.",
    "max_pool2d_with_indices": "Use return_indices=False.",
    "mul": "Fold constant factors into weights or scales.",
    "sub": "Negate the weights of the subtracted branch and add.",
}


def remedy_for(what: nn.Module | str) -> str:
    """Rewrite for a module, or for a function by its name."""
    name = what if isinstance(what, str) else type(what).__name__
    return _REMEDIES.get(name, _DEFAULT)
