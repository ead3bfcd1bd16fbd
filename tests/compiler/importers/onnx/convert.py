"""Four roads from a network to a quantized ONNX file, each by its own tools."""

import contextlib
import io
import logging
import warnings

import torch


def quiet(function, *args, **options):
    """Call what prints and warns, without that."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            return function(*args, **options)
        finally:
            logging.disable(logging.NOTSET)


def static(folder, model, images, outputs=("y",), activations="QInt8", form="QDQ"):
    """onnxruntime's ``quantize_static`` of a network in floats, weights per channel."""
    from onnxruntime import quantization

    path, result = folder / "float.onnx", folder / f"{form}-{activations}.onnx"
    quiet(
        torch.onnx.export, model, (images[:1],), path, dynamo=False, input_names=["x"],
        output_names=list(outputs), dynamic_axes={name: {0: "n"} for name in ("x", *outputs)},
        opset_version=17,
    )  # fmt: skip

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.batches = iter([{"x": part.numpy()} for part in images.split(16)])

        def get_next(self):
            return next(self.batches, None)

    quiet(
        quantization.quantize_static, path, result, Reader(), per_channel=True,
        quant_format=getattr(quantization.QuantFormat, form),
        activation_type=getattr(quantization.QuantType, activations),
        weight_type=quantization.QuantType.QInt8,
    )  # fmt: skip
    return result


def pt2e(folder, model, images):
    """PT2E of a network in floats, with XNNPACK's quantizer, exported with dynamo."""
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.testing.pt2e._xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    shapes = ({0: torch.export.Dim("n", min=1, max=1024)},)
    exported = torch.export.export(model, (images[:2],), dynamic_shapes=shapes).module()
    config = get_symmetric_quantization_config(is_per_channel=True)
    prepared = prepare_pt2e(exported, XNNPACKQuantizer().set_global(config))
    for part in images.split(16):
        prepared(part)
    converted = convert_pt2e(prepared)
    program = quiet(
        torch.onnx.export, converted, (images[:2],), dynamo=True, dynamic_shapes=shapes,
        opset_version=18, verbose=False,
    )  # fmt: skip
    path = folder / "pt2e.onnx"
    program.save(path)
    return path


def qcdq(folder, model, images):
    """A Brevitas network by ``export_onnx_qcdq``: quantize, clip, dequantize."""
    from brevitas.export import export_onnx_qcdq

    path = folder / "qcdq.onnx"
    quiet(export_onnx_qcdq, model, images[:1], str(path), dynamo=False, opset_version=17)
    return path


def qonnx(folder, model, images):
    """A Brevitas network by QONNX's own conversion; biases, of 32 bits, are constants by then."""
    from brevitas.export import export_qonnx
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.fold_constants import FoldConstantsFiltered
    from qonnx.util.convert import convert

    first, result = folder / "qonnx.onnx", folder / "qonnx_qcdq.onnx"
    quiet(export_qonnx, model, images[:1], str(first), dynamo=False)
    wrapper = ModelWrapper(str(first))
    biases = FoldConstantsFiltered(lambda m, node: "bias_quant" in node.name)
    folded = quiet(wrapper.transform, biases)
    for value in list(folded.graph.input):  # folding leaves what nothing reads any more
        if not folded.find_consumers(value.name):
            folded.graph.input.remove(value)
    folded.save(str(first))
    quiet(convert, str(first), output_style="qcdq", output_file=str(result))
    return result
