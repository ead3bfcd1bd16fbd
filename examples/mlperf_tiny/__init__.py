"""The four networks of MLPerf Tiny, from their TFLite files, beside TFLite's reference kernels.

    python -m examples.mlperf_tiny [--models FOLDER] [--inputs FOLDER]

``networks``        which they are, their files and inputs, and what they are measured by
``reference``       the reference kernels, layer by layer
``floats``          the networks as PyTorch modules, to be quantized by others
``brevitas_twins``  those with Brevitas's quantizers
"""
