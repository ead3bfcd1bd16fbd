"""The README's example is run as it stands."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_python_example_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    exec(compile(code, "README.md", "exec"), {})
    cycles, utilization, *shape = capsys.readouterr().out.split(maxsplit=2)
    assert int(cycles) > 0
    assert 0 < float(utilization) <= 1
    assert shape == ["(2, 8, 12, 12)\n"]
