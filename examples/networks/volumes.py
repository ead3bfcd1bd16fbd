"""Networks of volumes and of videos (N, C, D, H, W)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.networks.layers import scaled


class STUNet(nn.Module):
    """STU-Net: Huang et al., 2023, arXiv:2304.06716, with batch norms and fewer levels.

    Two residual blocks a level, downsampling in the first by its stride; on the way up, nearest
    neighbours and a 1x1x1 convolution, then the skip connection beside it. The paper's networks
    have instance norms, and 32 channels or more.
    """

    def __init__(self, *, levels: int = 4, width: float = 1.0, classes: int = 4) -> None:
        super().__init__()
        widths = [scaled(16 * 2**level, width, 4) for level in range(levels)]
        self.down = nn.ModuleList(
            nn.Sequential(
                _Residual(inputs, outputs, 1 if level == 0 else 2), _Residual(outputs, outputs)
            )
            for level, (inputs, outputs) in enumerate(zip([1, *widths[:-1]], widths, strict=True))
        )
        pairs = list(zip(widths[1:], widths[:-1], strict=True))[::-1]
        self.narrow = nn.ModuleList(nn.Conv3d(above, here, 1) for above, here in pairs)
        self.merge = nn.ModuleList(_Residual(2 * here, here) for _, here in pairs)
        self.up, self.head = nn.Upsample(scale_factor=2), nn.Conv3d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of every voxel."""
        levels = []
        for block in self.down:
            x = block(x)
            levels.append(x)
        for narrow, merge, skip in zip(self.narrow, self.merge, levels[-2::-1], strict=True):
            x = merge(torch.cat([skip, self.up(narrow(x))], dim=1))
        return self.head(x)


class _Residual(nn.Module):
    """Two 3x3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm3d(outputs),
            nn.LeakyReLU(),
            nn.Conv3d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm3d(outputs),
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv3d(inputs, outputs, 1, stride)
        self.activation = nn.LeakyReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's result."""
        return self.activation(self.body(x) + self.shortcut(x))


class R2Plus1D(nn.Module):
    """R(2+1)D: Tran et al., 2018, arXiv:1711.11248: 1x3x3 and 3x1x1 convolutions in turn.

    One residual block a stage, instead of two, and three stages of the four.
    """

    def __init__(self, *, width: float = 1.0, classes: int = 10) -> None:
        super().__init__()
        widths = [scaled(32 * 2**stage, width) for stage in range(3)]
        self.stem = _factorized(3, widths[0], (1, 2, 2))
        self.stages = nn.ModuleList(
            _Factorized(inputs, outputs, 1 if stage == 0 else 2)
            for stage, (inputs, outputs) in enumerate(
                zip([widths[0], *widths[:-1]], widths, strict=True)
            )
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(widths[-1], classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of a video (N, 3, frames, H, W)."""
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(x)


def _factorized(inputs: int, outputs: int, stride: tuple[int, int, int]) -> nn.Sequential:
    """Return a convolution over each frame, then one over frames."""
    depth, *step = stride
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, (1, 3, 3), (1, *step), (0, 1, 1), bias=False),
        nn.BatchNorm3d(outputs),
        nn.ReLU(),
        nn.Conv3d(outputs, outputs, (3, 1, 1), (depth, 1, 1), (1, 0, 0), bias=False),
        nn.BatchNorm3d(outputs),
        nn.ReLU(),
    )


class _Factorized(nn.Module):
    """A residual block of two factorized convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _factorized(inputs, outputs, (stride, stride, stride)),
            _factorized(outputs, outputs, (1, 1, 1))[:-1],
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv3d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's result."""
        return torch.relu(self.body(x) + self.shortcut(x))
