"""Float networks to compile: own definitions of published architectures.

``layers`` (what they share), ``resnet``, ``mobilenet``, ``keyword_spotting``, ``shufflenet``,
``convnext``, ``hornet``, ``attention``, ``sequences``, ``translation_variant``,
``superresolution``, ``segmentation``, ``depth``, ``detection``, ``lanes``,
``initialize`` (random weights and batch norm statistics of a trained network's magnitude, and
random images), ``registry`` (all of them by name).
"""

from examples.networks.initialize import random_images
from examples.networks.registry import NETWORKS, Network

__all__ = ["NETWORKS", "Network", "random_images"]
