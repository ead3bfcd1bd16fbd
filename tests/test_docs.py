"""The pages of docs/ are what the code says, and the site has all of them and no broken link."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools.reference import DOCS, PAGES, page

ROOT = DOCS.parent


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_is_up_to_date(name):
    assert (DOCS / name).read_text() == page(name), "run make docs"


def listed(entry):
    if isinstance(entry, str):
        yield entry
    else:
        for inner in entry.values() if isinstance(entry, dict) else entry:
            yield from listed(inner)


def test_every_page_is_in_the_navigation():
    project = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert pages == set(listed(project["nav"]))


def build(root):
    tool = Path(sys.executable).with_name("zensical")
    return subprocess.run(
        [tool, "build", "--strict"], cwd=root, capture_output=True, text=True, check=False
    )


@pytest.fixture
def site(tmp_path):
    shutil.copytree(DOCS, tmp_path / "docs")
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / "zensical.toml").write_text((ROOT / "zensical.toml").read_text())
    return tmp_path


def test_site_builds_without_a_warning(site):
    result = build(site)
    assert result.returncode == 0, result.stdout + result.stderr
    for html in ("index.html", "reference/api/index.html"):
        assert (site / "build" / "site" / html).exists()
    assert "weight_depth" in (site / "build/site/reference/configuration/index.html").read_text()


def test_site_with_a_broken_link_is_refused(site):
    (site / "docs" / "index.md").write_text("# Home\n\n[nowhere](missing.md)\n")
    assert build(site).returncode != 0
