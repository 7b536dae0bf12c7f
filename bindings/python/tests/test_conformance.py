"""The cases that every binding runs: tests/vectors."""

import json
import re
from pathlib import Path

import pytest

import ioprofiler
from ioprofiler import _native

VECTORS = Path(__file__).resolve().parents[3] / "tests" / "vectors"
FLAGS = json.loads((VECTORS / "flags.json").read_text())
GATE = json.loads((VECTORS / "gate.json").read_text())
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


@pytest.fixture
def clock():
    yield _native.set_now
    _native.set_now(0)


def test_the_gate(clock):
    """As ASGI hands headers over: each by itself, as it came."""
    ran = 0
    for case in GATE["cases"]:
        expect = case["expect"]
        clock(case["now"])
        ways = [way.strip() for way in case["gate"].split(",") if way.strip()]
        gate = [(lambda request: True) if way == "callable" else way for way in ways]
        options = {"gate_parameter": case["parameter"]} if "parameter" in case else {}
        if "token" in ways:
            options["gate_secret"] = case["secrets"]
        profiler = ioprofiler.Profiler(instrument=False, gate=gate, **options)
        headers = [] if case["host"] is None else [(b"host", case["host"].encode("latin-1"))]
        for name, key in (
            (b"cookie", "cookies"),
            (b"x-ioprofiler", "x_ioprofiler"),
            (b"x-ioprofiler-token", "x_ioprofiler_token"),
        ):
            headers += [(name, value.encode()) for value in case[key]]
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": case["query"].encode()}
        visit = profiler._native.visit_asgi({**scope, "headers": headers}, "callable" in ways)
        name, refused = case["name"], profiler.stats()["refused"]
        verdict = expect.get("verdict")
        assert visit.asked == (verdict in ("open", "undecided")), name
        assert visit.undecided == (verdict == "undecided"), name
        assert refused == ({expect["reason"]: 1} if verdict == "closed" else {}), name
        if verdict == "open":
            profile = json.loads(visit.request.snapshot().json())
            assert (profile["format"], profile["version"]) == ("ioprofiler.profile", 1), name
            facts = profile["facts"]
            assert facts.get("viewer") == expect.get("who"), name
            html = [(b"content-type", b"text/html")]
            visit.aim(200, html, 20, 1 << 20, False)
            _, sent, body = visit.show(200, html, b"<html></body></html>")
            kind = dict(sent)[b"content-type"].partition(b";")[0]
            wanted = {"1": b"text/html", "json": b"application/json"}.get(expect["form"], b"text/plain")
            assert kind == wanted, name
            assert b"TOTAL CALLS" in body or b'"categories"' in body, name
        ran += 1
    assert ran > 100


def test_a_token_is_what_the_vectors_say(clock):
    mint = GATE["mint"]
    clock(mint["now"])
    profiler = ioprofiler.Profiler(instrument=False, gate="token", gate_secret=mint["secret"])
    assert profiler.grant(mint["who"], mint["host"], life=mint["life"])[0] == mint["token"]


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
