"""What a wheel carries: the packages behind the symbolic links, and the data they need."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("isa", "hdl", "compiler", "sim", "boards")
# What `git ls-files` has and a build needs; a copy, so that nothing is written into the checkout.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "src", *PACKAGES)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    copy = tmp_path_factory.mktemp("checkout")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy(source, copy / name)
    return copy


def build(checkout, kind, target):
    code = f"from setuptools.build_meta import build_{kind}; print(build_{kind}({str(target)!r}))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return Path(target) / result.stdout.splitlines()[-1]


def expected():
    """Return the path in a wheel of every source file."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.suffix in (".py", ".cpp", ".h", ".v"):
                yield f"tilewright/{path.relative_to(ROOT)}"
    for path in (ROOT / "src" / "tilewright").rglob("*.py"):
        yield str(path.relative_to(ROOT / "src"))
    yield "tilewright/py.typed"


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    return build(checkout, "wheel", tmp_path_factory.mktemp("wheel"))


def test_wheel_carries_every_source_file(wheel):
    with zipfile.ZipFile(wheel) as archive:
        missing = set(expected()) - set(archive.namelist())
    assert not missing


def test_wheel_from_the_source_distribution_is_the_same(checkout, tmp_path):
    with tarfile.open(build(checkout, "sdist", tmp_path)) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    with zipfile.ZipFile(build(unpacked, "wheel", tmp_path)) as wheel:
        missing = set(expected()) - set(wheel.namelist())
    assert not missing


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Return the Python of an environment that has the wheel, and nothing of the repository."""
    root = tmp_path_factory.mktemp("installed")
    environment = root / "environment"
    venv.create(environment, with_pip=False)
    (packages,) = environment.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # The dependencies are this environment's. A path in a .pth file is not searched for further
    # ones, so that an editable installation does not bring the repository along.
    dependencies = sysconfig.get_path("purelib")
    (packages / "dependencies.pth").write_text(dependencies + "\n")
    return environment / "bin" / "python"


def test_wheel_works_in_a_fresh_environment(installed, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    where = "print(tw.__file__)\n"
    result = subprocess.run(
        [installed, "-c", code + where],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    *_, file = result.stdout.splitlines()
    assert Path(file).is_relative_to(installed.parents[1])
