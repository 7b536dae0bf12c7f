"""What all tests share: a manual profiler, and applications on real sockets."""

from __future__ import annotations

import pytest

import ioprofiler


@pytest.fixture
def profiler():
    return ioprofiler.Profiler(instrument=False)


@pytest.fixture
def open_profiler():
    return ioprofiler.Profiler(instrument=False, gate="everyone")
