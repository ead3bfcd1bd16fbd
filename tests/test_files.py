"""Written files are whole or not there; what is read is a file of known size."""

import ast
import os
from pathlib import Path

import pytest

from tilewright import files

ROOT = Path(__file__).parents[1]
PACKAGES = ("boards", "compiler", "hdl", "isa", "sim", "src/tilewright", "benchmarks", "examples")
#: Files of tools, in a folder that they share with them; a cache's entries under fresh names, and
#: its locks, which hold nothing.
OWN = {
    "sim/rtl/build.py",
    "sim/rtl/runtime.py",
    "boards/flow/tools.py",
    "hdl/verilog.py",
    "hdl/yosys.py",
    "src/tilewright/cache.py",
    "src/tilewright/files.py",
    "benchmarks/startup.py",
}


def test_write_replaces_a_link_and_leaves_its_target(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("precious")
    link.symlink_to(target)
    files.write_text(link, "new")
    assert target.read_text() == "precious"
    assert link.read_text() == "new"
    assert not link.is_symlink()


def test_planted_names_do_no_harm(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in ("out.tmp", "out.json.tmp", ".out.json"):
        (tmp_path / name).symlink_to(victim)
    files.write_json(tmp_path / "out.json", [1])
    assert victim.read_text() == "precious"
    assert (tmp_path / "out.json").read_text() == "[\n 1\n]\n"


def test_a_name_that_is_taken_is_not_written(tmp_path, monkeypatch):
    names = iter(["taken", "free"])
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: next(names))
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".out.taken").symlink_to(victim)
    files.write_text(tmp_path / "out", "new")
    assert victim.read_text() == "precious"
    assert (tmp_path / "out").read_text() == "new"


def test_what_fails_leaves_nothing_behind(tmp_path):
    path = tmp_path / "out"
    path.write_text("old")

    def interrupted():
        with files.fresh_file(path) as fresh:
            fresh.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_rights_are_those_of_the_umask(tmp_path):
    mask = os.umask(0o027)
    try:
        files.write_text(tmp_path / "out", "x")
    finally:
        os.umask(mask)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/dev/null", "not a regular file"),
        (".", "directory"),
        ("a\0b", "zero"),
        ("x" * 300, "long"),
    ],
)
def test_what_is_no_file_is_not_written(tmp_path, monkeypatch, path, reason):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(files.FileError, match=reason):
        files.write_text(path, "x")
    assert not list(tmp_path.iterdir())


def test_reads_only_files_within_the_limit(tmp_path):
    path = tmp_path / "in"
    path.write_bytes(b"123")
    assert files.read_bytes(path, 3) == b"123"
    with pytest.raises(files.FileError, match="3 bytes, and at most 2"):
        files.read_bytes(path, 2)
    os.mkfifo(tmp_path / "pipe")
    for other in ("/dev/zero", tmp_path / "pipe", tmp_path):
        with pytest.raises(files.FileError, match="not a regular file"):
            files.read_bytes(other, 1 << 40)
    with pytest.raises(files.FileError, match="No such file"):
        files.read_bytes(tmp_path / "none", 1)


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_else_writes_files(package):
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        name = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            if not isinstance(called, ast.Attribute) or name in OWN:
                continue
            on_fresh = isinstance(called.value, ast.Name) and called.value.id == "fresh"
            mode = [a.value for a in node.args if isinstance(a, ast.Constant)]
            opens = called.attr == "open" and any(m in ("w", "wb", "a", "x", "xb") for m in mode)
            if (called.attr in ("write_text", "write_bytes") or opens) and not on_fresh:
                if not (isinstance(called.value, ast.Name) and called.value.id == "files"):
                    found.add(f"{name}:{node.lineno}")
    assert not found
