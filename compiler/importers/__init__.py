"""What turns networks of other formats into quantized graphs.

``export``: float PyTorch modules, through ``torch.export``. ``brevitas``: modules of Brevitas
layers, with their grids. ``onnx``: files in ONNX, float or quantized.
``tflite``: files of TensorFlow Lite.
"""
