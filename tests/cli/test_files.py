"""Networks from a user's Python files."""

import sys

import pytest

import tilewright as tw
from tests.cli.run import refused
from tilewright.cli.files import load_model


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.py:make", "must be file.py:function, with a file that exists"),
        ("net.py", "must be file.py:function, with a file that exists"),
        ("net.py:absent", "has no function 'absent'"),
        ("net.py:not_a_function", "has no function 'not_a_function'"),
        ("net.py:only_a_model", r"must return \(model, example_inputs\)"),
    ],
)
def test_bad_model_names(net, name, message):
    with pytest.raises(tw.Error, match=message):
        load_model(str(net.parent / name))


def test_the_folder_of_the_network_is_importable_meanwhile(float_net):
    before = list(sys.path)
    model, batches = load_model(f"{float_net}:make")
    assert type(model).__name__ == "Pair"
    assert len(batches) == 2
    assert sys.path == before


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import absent_module", "net.py:1: ModuleNotFoundError: No module named 'absent_module'"),
        ("def make(:", "net.py:1: SyntaxError: "),
        ("\ndef make():\n    return 1 / 0", "net.py:3: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)", "net.py:2: SystemExit: 3"),
        ("def make(x): ...", "TypeError: make() missing 1 required positional argument"),
    ],
)
def test_errors_of_the_networks_own_code_say_where(capsys, tmp_path, code, message):
    path = tmp_path / "net.py"
    path.write_text(code)
    for command in ("compile", "quantize"):
        assert message in refused(capsys, command, f"{path}:make")


def test_a_networks_name_takes_no_modules_place(tmp_path):
    import json

    path = tmp_path / "json.py"
    path.write_text("def make():\n    return 1, 2\n")
    assert load_model(f"{path}:make") == (1, 2)
    assert sys.modules["json"] is json
