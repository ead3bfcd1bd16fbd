"""The cache: made once, whole or not at all, by all it depends on, and not forever."""

import multiprocessing
import os
import re
import time

import pytest

from tilewright.cache import KEPT_SECONDS, cached, cached_text, digest, digest_of_sources

KEY = digest(["any"])


def slow_entry(folder, log):
    def make(path):
        with log.open("a") as file:
            file.write("made\n")
        path.write_text("half")
        time.sleep(0.3)
        path.write_text("whole")

    return cached("test", KEY, "txt", make, folder=folder).read_text()


def test_processes_at_once_make_it_once(tmp_path):
    log = tmp_path / "log"
    folder = tmp_path / "cache"
    with multiprocessing.get_context("fork").Pool(6) as pool:
        texts = pool.starmap(slow_entry, [(folder, log)] * 6)
    assert texts == ["whole"] * 6
    assert log.read_text() == "made\n"


def test_a_failure_leaves_nothing_and_the_next_one_makes_it(tmp_path):
    def fail(path):
        path.write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        cached("test", KEY, "txt", fail, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"test-{KEY}.txt.lock"]
    path = cached("test", KEY, "txt", lambda path: path.write_text("x"), folder=tmp_path)
    assert path.read_text() == "x"


def test_one_entry_may_need_another_of_the_same_key(tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path / "cache"))

    def outer():
        return cached_text("test", KEY, "il", lambda: "inner") + " outer"

    assert cached_text("test", KEY, "v", outer) == "inner outer"
    assert len(list((tmp_path / "cache").glob(f"test-{KEY}.*"))) == 4


def test_names_differ_where_anything_does(tmp_path):
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    assert re.fullmatch("[0-9a-f]{24}", KEY)
    (tmp_path / "a.py").write_text("x = 1\n")
    first = digest_of_sources(tmp_path)
    (tmp_path / "notes.md").write_text("no code")
    assert digest_of_sources(tmp_path) == first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    renamed = digest_of_sources(tmp_path)
    (tmp_path / "b.py").write_text("x = 2\n")
    assert len({first, renamed, digest_of_sources(tmp_path)}) == 3


def test_entries_that_nobody_asks_for_are_removed(tmp_path):
    def put(name):
        return cached("test", digest([name]), "txt", lambda p: p.write_text(""), folder=tmp_path)

    old, used, other = put("old"), put("used"), tmp_path / "notes-of-mine.txt"
    other.write_text("")
    long_ago = time.time() - KEPT_SECONDS - 100
    for path in (old, used, other):
        os.utime(path, (long_ago, long_ago))
    put("used")
    put("new")
    assert [path.exists() for path in (old, used, other)] == [False, True, True]
