"""Every network by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from examples.networks.attention import MOAT, CvT
from examples.networks.convnext import ConvNeXt, NormedConvNeXt
from examples.networks.depth import FastDepth
from examples.networks.detection import SSD
from examples.networks.efficientnet import EfficientNetB0
from examples.networks.fast_segmentation import FastSCNN
from examples.networks.hornet import HorNet
from examples.networks.initialize import initialize, random_images
from examples.networks.keyword_spotting import DSCNN
from examples.networks.lanes import SCNN
from examples.networks.mobilenet import MobileNetV1, MobileNetV2, MobileNetV3Small
from examples.networks.resnet import Bottleneck, ResNet
from examples.networks.segmentation import AtrousPyramid, UNet
from examples.networks.sequences import ShortConvolutions
from examples.networks.shufflenet import ShuffleNetV2
from examples.networks.superresolution import ESPCN
from examples.networks.translation_variant import TVNet
from examples.networks.vgg import VGG16
from examples.networks.volumes import R2Plus1D, STUNet
from examples.networks.yolo import YOLO


@dataclass(frozen=True)
class Network:
    """An architecture and the size of its input.

    Parameters
    ----------
    architecture : takes ``width`` and, where it has them, ``classes``
    input_shape : (C, H, W), (C, D, H, W) of volumes, or (C, L) of sequences
    width : float, factor of all channels
    classes : int or None, channels of the result; None for the architecture's own
    sized : whether the architecture takes the input's ``size`` (H, W) too
    """

    architecture: Callable[..., nn.Module]
    input_shape: tuple[int, ...]
    width: float = 1.0
    classes: int | None = None
    sized: bool = False

    def reduced(self, *, width: float, size: tuple[int, int]) -> Network:
        """Return the same with fewer channels, on inputs of ``size`` (H, W), or (C, L)."""
        return replace(self, input_shape=(*self.input_shape[:-2], *size), width=width)

    def build(self, *, seed: int = 0) -> nn.Module:
        """Return the float network, in evaluation mode, always with the same random weights."""
        options: dict[str, Any] = {} if self.classes is None else {"classes": self.classes}
        if self.sized:
            options["size"] = self.input_shape[-2:]
        with torch.random.fork_rng([]):
            model = self.architecture(width=self.width, **options)
        initialize(model, self.input_shape, seed=seed)
        return model

    def images(self, count: int, *, seed: int = 1000) -> Tensor:
        """Return random inputs (N, *input_shape)."""
        return random_images(count, self.input_shape, seed=seed)

    def calibration(self, batches: int = 4, count: int = 8) -> Iterator[Tensor]:
        """Yield batches to calibrate with, none of which is in the default :meth:`images`."""
        for batch in range(batches):
            yield self.images(count, seed=2000 + batch)


NETWORKS: dict[str, Network] = {
    "resnet18": Network(ResNet, (3, 224, 224)),
    "resnet50": Network(partial(ResNet, block=Bottleneck, blocks=(3, 4, 6, 3)), (3, 224, 224)),
    "mobilenet_v2": Network(MobileNetV2, (3, 224, 224)),
    "mobilenet_v3_small": Network(MobileNetV3Small, (3, 224, 224)),
    # As in the visual wake words benchmark: is there a person?
    "mobilenet_v1_025": Network(MobileNetV1, (3, 96, 96), width=0.25, classes=2),
    "ds_cnn": Network(DSCNN, (1, 49, 10)),
    "shufflenet_v2": Network(ShuffleNetV2, (3, 224, 224)),
    "convnext_femto": Network(ConvNeXt, (3, 224, 224)),
    "inceptionnext_atto": Network(
        partial(ConvNeXt, channels=(40, 80, 160, 320), inception=True), (3, 224, 224)
    ),
    "espcn": Network(ESPCN, (1, 180, 320)),
    "unet": Network(UNet, (3, 256, 256), width=0.25),
    "atrous_pyramid": Network(AtrousPyramid, (3, 224, 224)),
    "fastdepth": Network(FastDepth, (3, 224, 224)),
    "ssd_mobilenet_v1": Network(SSD, (3, 320, 320)),
    "stunet": Network(STUNet, (1, 16, 64, 64)),
    "vgg16": Network(VGG16, (3, 224, 224)),
    "efficientnet_b0": Network(EfficientNetB0, (3, 224, 224)),
    "yolo": Network(YOLO, (3, 320, 320)),
    # 1080 rows, and eight more for a size that halves five times.
    "fast_scnn": Network(FastSCNN, (3, 1088, 1920)),
    # To 1080 rows.
    "espcn_1080": Network(ESPCN, (1, 360, 640)),
    "r2plus1d": Network(R2Plus1D, (3, 8, 56, 56)),
    "scnn": Network(SCNN, (3, 288, 800)),
    "hornet": Network(HorNet, (3, 224, 224)),
    "convnext_normed": Network(NormedConvNeXt, (3, 224, 224)),
    "cvt": Network(CvT, (3, 64, 64)),
    "moat": Network(MOAT, (3, 64, 64)),
    # 40 features of 256 frames.
    "lfm2": Network(ShortConvolutions, (40, 256)),
    "tvconv": Network(TVNet, (3, 96, 96), sized=True),
}
