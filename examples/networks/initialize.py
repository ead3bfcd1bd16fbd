"""Random networks that behave like trained ones as far as integers can see."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from examples.networks.layers import Branch
from tilewright.nn import RecurrentConv


def random_images(count: int, shape: tuple[int, ...], *, seed: int = 0) -> Tensor:
    """Return ``count`` images (N, C, H, W), sequences or volumes, with smooth structure.

    Their mean is 0, their deviation 1.

    The sum of noise of several resolutions, coarser ones stronger, as in photographs.
    """
    generator = torch.Generator().manual_seed(seed)
    channels, *extent = shape
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(extent)]
    images = torch.zeros(count, *shape)
    step = 1
    while step <= max(extent):
        size = tuple(-(-n // step) for n in extent)
        noise = torch.randn(count, channels, *size, generator=generator)
        images += step**0.5 * F.interpolate(noise, size=extent, mode=mode)
        step *= 2
    axes = tuple(range(1, images.ndim))
    images -= images.mean(axes, keepdim=True)
    return images / images.std(axes, keepdim=True)


_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def initialize(model: nn.Module, shape: tuple[int, ...], *, seed: int = 0) -> None:
    """Give a model random parameters and its batch norms the statistics of random images.

    Convolutions are initialized after He et al., 2015, arXiv:1502.01852. Affine parameters of batch
    norm vary from channel to channel, as they do after training. Their offsets are positive, so
    that a ReLU passes most of its input: with offsets around zero, every ReLU and the batch norm
    behind it would raise the share of quantization errors by 1.7 dB (by 1 / (1 - 1 / pi)), which
    trained networks do not do. Leaves the model in evaluation mode.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [m for m in model.modules() if isinstance(m, _NORMS)]
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, RecurrentConv):  # as its authors: slices add little
                deviation = (2 / (5 * module.weight.numel())) ** 0.5
                module.weight.normal_(0.0, deviation, generator=generator)
            elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, generator=generator)
                if module.bias is not None:
                    module.bias.normal_(0.0, 0.1, generator=generator)
            elif isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear", generator=generator)
                if module.bias is not None:
                    module.bias.normal_(0.0, 0.1, generator=generator)
            elif isinstance(module, _NORMS):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(1.0, 0.3, generator=generator)
        for module in model.modules():
            if isinstance(module, Branch):
                last = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)][-1]
                last.weight *= 0.3
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the average of all passes
        model.train()
        for batch in range(2):
            model(random_images(8, shape, seed=seed + 1 + batch))
        model.eval()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
