"""Object detection with deformable upsampling, after CoDeNet: trained here on synthetic shapes.

``shapes`` (images and boxes), ``model`` (the detector, in floats and quantized), ``training``
(losses, training), ``evaluation`` (boxes from the outputs, average precision). ``python -m
examples.detector`` compares the detector with the same one without deformation.

Source: Dong et al., CoDeNet: Efficient Deployment of Input-Adaptive Object Detection on Embedded
FPGAs, 2020, arXiv:2006.08357; Zhou et al., Objects as Points, 2019, arXiv:1904.07850.
"""
