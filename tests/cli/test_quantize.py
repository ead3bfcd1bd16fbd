"""``tilewright quantize``."""

import json

import pytest
import torch

import tilewright as tw
from tests.cli.run import invoke, refused
from tilewright.cli.files import load_model


def test_quantize_writes_what_the_api_returns(float_net, quantized):
    path, output = quantized
    model, batches = load_model(f"{float_net}:make")
    expected = tw.quantize_with_report(model, batches)
    loaded = tw.QuantizedModel.load(path)
    for a, b in zip(loaded(*batches[0]), expected.model(*batches[0]), strict=True):
        assert torch.equal(a, b)
    for layer in expected.report.layers:
        assert layer.name in output
        assert f"{layer.scale:.4g}" in output
    assert f"tilewright compile {path}" in output


def test_quantize_takes_one_batch_and_options(float_net, tmp_path):
    path, figures = tmp_path / "q.pt", tmp_path / "figures.json"
    options = ("--weight-bits", "4", "--activation-bits", "6", "--power-of-two")
    invoke(
        *("quantize", f"{float_net}:one_batch", "-o", path, "--json", figures),
        *(*options, "--least-snr-db", "-inf"),
    )
    record = json.loads(figures.read_text())
    assert {layer["bits"] for layer in record["layers"]} == {6}
    assert record["output_snr_db"] > 5
    text = str(tw.QuantizedModel.load(path))
    assert "weight_bits=4" in text
    invoke("quantize", f"{float_net}:classifier", "-o", path)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("make", ("--weight-bits", "9"), "weight_bits must be in 2..8, not 9"),
        ("absent", (), "has no function 'absent'"),
        ("make", ("-o", "/dev/null"), "cannot write /dev/null"),
        ("only_a_model", (), "must return (model, calibration_batches)"),
        ("labelled", (), "leave labels out"),
        ("no_batches", (), "there are no calibration batches"),
        ("no_module", (), "Module"),
        ("failing", (), "ValueError: invalid literal for int() with base 10: 'x'"),
        ("not_iterable", (), "a list of batches or a data loader, not int"),
    ],
)
def test_quantize_refuses_in_one_line(capsys, tmp_path, name, options, message):
    path = tmp_path / "floats.py"
    path.write_text(
        "import torch\nfrom torch import nn\nx = torch.randn(4, 6)\n"
        "def make(): return nn.Linear(6, 7), [x]\n"
        "def only_a_model(): return nn.Linear(6, 7)\n"
        "def labelled(): return nn.Linear(6, 7), [(x, torch.zeros(4))]\n"
        "def no_batches(): return nn.Linear(6, 7), []\n"
        "def no_module(): return 3, [x]\n"
        "def failing():\n    return nn.Linear(6, 7), (int('x') if i else x for i in range(2))\n"
        "def not_iterable(): return nn.Linear(6, 7), 3\n"
    )
    if "-o" not in options:
        options = (*options, "-o", tmp_path / "q.pt")
    assert message in refused(capsys, "quantize", f"{path}:{name}", *options)


def test_a_quantized_file_is_not_quantized_again(capsys, quantized):
    message = refused(capsys, "quantize", quantized[0])
    assert message.endswith("must be file.py:function, with a file that exists")
