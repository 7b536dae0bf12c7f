"""psycopg's pools: waiting for a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg_pool

from ioprofiler.hooks import _names
from ioprofiler.hooks._async import waits

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches


def hook(patches: Patches) -> None:
    patches.replace(psycopg_pool.ConnectionPool, "getconn", lambda original: _names.waiting(original, "psycopg_pool"))
    patches.replace(psycopg_pool.AsyncConnectionPool, "getconn", waits("psycopg_pool"))
