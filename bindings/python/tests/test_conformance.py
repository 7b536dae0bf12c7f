"""The cases that every binding runs: tests/vectors."""

import json
import re
from pathlib import Path

import pytest

import ioprofiler
from ioprofiler import _native

VECTORS = Path(__file__).resolve().parents[3] / "tests" / "vectors"
FLAGS = json.loads((VECTORS / "flags.json").read_text())
FINGERPRINTS = json.loads((VECTORS / "fingerprint.json").read_text())


@pytest.mark.parametrize("document", FLAGS["documents"])
def test_flags(tmp_path, document):
    file = tmp_path / "flags.json"
    file.write_text(json.dumps(FLAGS["documents"][document]))
    profiler = ioprofiler.Profiler(instrument=False, flags=file)
    cases = [case for case in FLAGS["decisions"] if case["document"] == document]
    assert len(cases) > 100
    known = {"user", "visitor", "groups", "attributes"}
    # What stands in a document and may not stand in a file: those flags are broken there.
    broken = {flag for flag in FLAGS["documents"][document]["flags"] if profiler.decide(flag).reason == "error"}
    assert len(broken) < 4, broken
    ran = 0
    for case in cases:
        who = case["who"]
        if not set(who) <= known or case["flag"] in broken:
            continue  # overrides and request ids are the request's own
        decision = profiler.decide(case["flag"], **who)
        wanted = ("off", "off") if case["state"] == "default" else (case["state"], case["variant"])
        reason = decision.reason if decision.group is None else f"{decision.reason}:{decision.group}"
        assert (decision.state, decision.variant, reason) == (*wanted, case["reason"]), case
        if case["state"] == "default":
            assert profiler.decide(case["flag"], True, **who).state == "on"
        ran += 1
    assert ran > 100


def test_fingerprints(profiler):
    ran = 0
    for number, case in enumerate(FINGERPRINTS):
        if (
            case.get("cut")
            or not re.fullmatch(r"[!-~]([ -~]*[!-~])?", case["out"])
            or "  " in case["out"]
            or "\\" in case["out"]
        ):
            continue  # what a line of text shows otherwise
        category = f"vector_{case['dialect']}"
        _native.define_category(category, "leaf", case["dialect"])
        with profiler.job("j") as request:
            with ioprofiler.span(category, case["in"]):
                pass
            line = request.snapshot().ticket().splitlines()[1]
        shown = re.fullmatch(r"\[\w+\] [\d.]+ ms (.*?)  @[\d.]+", line)
        assert shown is not None, (number, line)
        assert shown[1] == case["out"], (number, case)
        ran += 1
    assert ran > 50
