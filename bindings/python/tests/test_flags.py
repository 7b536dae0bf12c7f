"""Flags from files: decided once a request, dark, overridden past the gate, through OpenFeature."""

import contextlib
import json

import pytest

import ioprofiler
from serving import asgi_server, get, wsgi_server

FILE = """
[flags.static]
enabled = "on"

[flags.half]
enabled = 50

[flags.search]
enabled = { blue = 0, green = 100 }
users = { "5020244" = "blue" }
data = { blue = { boost = 1.5, limit = 3 }, green = { boost = 2, limit = 40 } }
id = 51
variants = { blue = 1, green = 2 }

[flags.limit]
enabled = { few = 100, many = 0 }
users = { "5020244" = "many" }
data = { few = 5, many = 50 }

[flags.staff_only]
enabled = "0%"
groups = { staff = "on" }

[flags.ranking]
enabled = "0%"
dark = 100
priority = 5
"""


@pytest.fixture
def files(tmp_path):
    flags = tmp_path / "flags.toml"
    flags.write_text(FILE)
    return [flags, tmp_path / "emergency.toml"]


def make(files, **options):
    return ioprofiler.Profiler(instrument=False, flags=files, **options)


def test_flags_of_a_request(files):
    profiler = make(files)
    with profiler.job("j") as request:
        request.set_visitor("6f1c3a90")
        assert ioprofiler.flag("static") is True
        assert ioprofiler.flag("static", False) is True
        assert ioprofiler.flag("nowhere") is False
        assert ioprofiler.flag("nowhere", True) is True
        assert ioprofiler.variant("search") == "green"
        assert ioprofiler.variant("nowhere") == "off"
        assert ioprofiler.variant("nowhere", True) == "on"
        decision = ioprofiler.decide("search")
        assert (decision.state, decision.variant, decision.reason) == ("on", "green", "percent")
        assert bool(decision)
        assert "search green" in repr(decision)
        decision = ioprofiler.decide("search", user=5020244)
        assert (decision.variant, decision.reason) == ("blue", "user")
        assert ioprofiler.decide("staff_only", groups=["staff"]).group == "staff"
        assert "because percent" in request.explain("search")
        text = request.snapshot().text()
    assert "static on" in text
    assert "search green" in text
    for wrong in (lambda: ioprofiler.flag(), lambda: ioprofiler.flag("a", True, 5)):
        with pytest.raises(TypeError):
            wrong()
    assert ioprofiler.flag("nowhere", True) is True  # outside a request as well
    assert profiler.decide("static").state == "on"
    assert profiler.decide("search", user=5020244).variant == "blue"
    assert ioprofiler.flag(5) is False


def test_a_percentage_is_sticky_and_of_about_that_many(files):
    profiler = make(files)
    on = []
    for visitor in range(400):
        answers = set()
        for _ in range(2):
            with profiler.job("j") as request:
                request.set_visitor(f"visitor {visitor}")
                answers.add(ioprofiler.flag("half"))
        assert len(answers) == 1
        on += answers
    assert 130 < sum(on) < 270


def test_dark_code_runs_unseen(files):
    profiler = make(files)
    seen = []

    def rank(name, fail=False):
        with ioprofiler.span("solr", name):
            seen.append(name)
        if fail:
            raise RuntimeError("not ready")

    with profiler.job("j") as request:
        request.set_visitor("a")
        assert ioprofiler.dark("ranking", rank, "first") is True
        assert ioprofiler.dark("ranking", rank, "second", fail=True) is True
        assert ioprofiler.dark("static", rank, "third") is False
        with ioprofiler.span("a", "after"):
            pass
        profile = request.snapshot()
    assert seen == ["first", "second"]
    found = [(call.category, call.detail, call.parent, call.outcome) for call in profile.spans]
    assert [one for one in found if one[0] in ("solr", "a")] == [
        ("solr", "first", 0, "ok"),
        ("solr", "second", 2, "ok"),
        ("a", "after", None, "ok"),
    ]
    assert [one[3] for one in found if one[0].startswith("dark:")] == ["ok", "error"]


def test_a_later_file_lies_over_and_is_seen(files):
    profiler = make(files)
    with profiler.job("j"):
        assert ioprofiler.flag("static")
    files[1].write_text('[flags.static]\nenabled = "off"\n')
    assert profiler.reload_flags() == []
    with profiler.job("j"):
        assert not ioprofiler.flag("static")
        assert ioprofiler.decide("static").reason == "killed"
    files[1].write_text("[flags.static\n")
    assert profiler.reload_flags() != []
    with profiler.job("j"):
        assert ioprofiler.decide("static").reason == "killed"  # the last good one serves


def test_wrong_files(tmp_path, files):
    files[0].write_text("[flags.static]\nenabeld = 5\n")
    make(files)  # a program that starts at night is worth more than a flag
    with pytest.raises(ioprofiler.OptionError, match=r"flags\.toml.*enabeld"):
        make(files, flags_required=True)
    with pytest.raises(ioprofiler.OptionError, match="flags"):
        make([], flags_required=True)
    with pytest.raises(ioprofiler.OptionError, match="flag_context"):
        make(files, flag_context=5)


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    body = f"<html><body>{ioprofiler.variant('search')} {ioprofiler.flag('staff_only')}</body></html>"
    return [body.encode()]


def test_the_context_is_asked_before_the_first_flag(files):
    asked = []

    def context(asking):
        asked.append(asking.environ["QUERY_STRING"])
        user = asking.environ["QUERY_STRING"].rpartition("&")[2]
        return {"user": user, "groups": ["staff"] if user == "alice" else None, "country": "de", "age": 5.0}

    def quiet(environ, start_response):
        start_response("200 OK", [])
        return [b"no flag"]

    profiler = make(files, flag_context=context)
    with wsgi_server(profiler.wsgi(app)) as port:
        assert b"blue False" in get(port, "/?a&5020244")[2]
        assert b"green True" in get(port, "/?a&alice")[2]
    with wsgi_server(profiler.wsgi(quiet)) as port:
        get(port, "/?a&nobody")
    assert asked == ["a&5020244", "a&alice"]


@pytest.mark.parametrize(
    ("context", "says"),
    [
        (lambda asking: 1 / 0, "flag_context raised ZeroDivisionError: division by zero"),
        (lambda asking: 5, "flag_context gave 5, which is no dict"),
    ],
)
def test_a_context_that_fails_says_so_once_and_decides_about_nobody(files, caplog, context, says):
    failing = make(files, flag_context=context)
    with wsgi_server(failing.wsgi(app)) as port:
        for _ in range(2):
            assert b"green False" in get(port, "/")[2]
    assert [
        record.getMessage().partition(" (")[0] for record in caplog.records if "flag_context" in record.message
    ] == [says]


def test_a_group_alone_needs_no_list(files):
    profiler = make(files, flag_context=lambda asking: {"groups": "staff"})
    with wsgi_server(profiler.wsgi(app)) as port:
        assert b" True" in get(port, "/")[2]
    assert profiler.decide("staff_only", groups="staff").reason == "group"
    with profiler.job("j"):
        assert ioprofiler.decide("staff_only", groups="staff").reason == "group"


def test_viewers_past_the_gate_choose_and_others_do_not(files):
    for gate, wanted in (("everyone", b"blue True"), ((), b"green False")):
        profiler = make(files, gate=gate)
        with wsgi_server(profiler.wsgi(app)) as port:
            status, headers, body = get(port, "/?ioflags=search:blue,staff_only:on")
            assert wanted in body
            assert b"ioprofiler" not in body
            private = dict(headers).get("cache-control") == "private, no-store"
            assert private == (gate == "everyone")
    profiler = make(files, gate="everyone")

    async def aapp(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": ioprofiler.variant("search").encode()})

    with asgi_server(profiler.asgi(aapp)) as port:
        _, headers, body = get(port, "/?ioflags=search:blue")
        assert body == b"blue"
        assert dict(headers)["cache-control"] == "private, no-store"


def test_a_flag_opens_the_gate(files):
    def context(asking):
        return {"groups": [asking.environ["QUERY_STRING"].rpartition("&")[2]]}

    profiler = make(files, gate="flag:staff_only", flag_context=context)
    with wsgi_server(profiler.wsgi(app)) as port:
        assert b"TOTAL CALLS" in get(port, "/?ioprofiler=text&staff")[2]
        assert b"TOTAL CALLS" not in get(port, "/?ioprofiler=text&guest")[2]


def test_openfeature(files):
    pytest.importorskip("openfeature", reason="openfeature: not installed")
    from openfeature import api
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.flag_evaluation import Reason

    from ioprofiler.openfeature import IoprofilerProvider

    profiler = make(files)
    api.set_provider(IoprofilerProvider(profiler))
    client = api.get_client()
    try:
        assert client.get_boolean_value("static", False) is True
        assert client.get_boolean_value("nowhere", True) is True
        details = client.get_boolean_details("nowhere", False)
        assert (details.value, details.reason, details.error_code.value) == (False, Reason.ERROR, "FLAG_NOT_FOUND")
        buyer = EvaluationContext(targeting_key="5020244", attributes={"groups": ["staff"], "visitor": "v"})
        assert client.get_string_value("search", "off", buyer) == "blue"
        assert client.get_boolean_value("staff_only", False, buyer) is True
        assert client.get_string_details("search", "off", buyer).reason == Reason.TARGETING_MATCH
        assert client.get_integer_details("search", 7).error_code.value == "TYPE_MISMATCH"
        assert client.get_integer_value("nowhere", 7) == 7
        # The data is that of whom the evaluation is about, in a request and outside.
        for request in (None, profiler.job("j")):
            with contextlib.ExitStack() as stack:
                if request is not None:
                    stack.enter_context(request).set_visitor("6f1c3a90")
                    assert client.get_integer_value("limit", 7) == 5
                    assert ioprofiler.flag_data("limit") == 5
                    assert ioprofiler.flag_data("search") == {"boost": 2, "limit": 40}
                    assert ioprofiler.flag_data("static") is None
                assert client.get_integer_value("limit", 7, buyer) == 50
                assert client.get_object_value("search", {}, buyer) == {"boost": 1.5, "limit": 3}
        with profiler.job("j") as request:
            request.set_visitor("6f1c3a90")
            assert client.get_string_value("search", "off") == "green"
            assert client.get_string_details("search", "off").reason == Reason.SPLIT
            exposures = json.loads(request.snapshot().json())["flags"]
        assert "search" in json.dumps(exposures)
    finally:
        api.clear_providers()
