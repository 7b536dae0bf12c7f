"""The README's Python is run, each block after the other."""

import asyncio
import re
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_every_block_runs(capsys):
    names = {"__name__": "__main__"}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    asyncio.run(names["fetch"]())
    assert "[dbshard01]" in capsys.readouterr().out
    assert names["IOPROFILER"]["gate"]
    with pytest.raises(AssertionError):
        names["profile"].assert_calls("dbshard01", max=0)


def test_the_front_page_runs():
    front = (Path(__file__).resolve().parents[3] / "README.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```", front, re.MULTILINE | re.DOTALL)
    names = {"__name__": "__main__", "app": lambda environ, start_response: [], "sql": "SELECT 1"}
    exec(compile(block, "README.md", "exec"), names)
    assert names["profiler"].stats()["live"] == 0


def test_no_block_is_overlooked():
    assert len(BLOCKS) >= 10
    assert README.count("```") == 2 * len(re.findall(r"^```\w+$", README, re.MULTILINE))
