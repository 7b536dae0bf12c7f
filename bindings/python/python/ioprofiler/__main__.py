"""`python -m ioprofiler doctor`."""

from __future__ import annotations

import sys

from ioprofiler import doctor

if __name__ == "__main__":
    if sys.argv[1:2] != ["doctor"]:
        print("usage: python -m ioprofiler doctor [MODULE:PROFILER]", file=sys.stderr)
        sys.exit(2)
    sys.exit(doctor.main(sys.argv[2:]))
