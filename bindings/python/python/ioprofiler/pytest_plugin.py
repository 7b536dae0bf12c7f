"""The pytest fixture `ioprofile`: a recording around the test.

def test_listing(client, ioprofile):
    client.get("/listing/5")
    ioprofile.assert_calls("dbshard01", max=5)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ioprofiler.testing import Recording


@pytest.fixture
def ioprofile(request: pytest.FixtureRequest) -> Iterator[Recording]:
    """What this test does, call by call."""
    import ioprofiler

    with ioprofiler.record(request.node.name) as recording:
        yield recording
