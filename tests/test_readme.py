"""The README's example is run as it stands, and its links lead somewhere."""

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


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    local = [link for link in links if "://" not in link]
    assert local
    missing = [link for link in local if not (README.parent / link).exists()]
    assert missing == []


def test_folders_of_the_layout_exist():
    folders = re.findall(r"^\| `([^`]+/)` \|", README.read_text(), re.M)
    assert "compiler/" in folders
    assert [name for name in folders if not (README.parent / name).is_dir()] == []
