#!/usr/bin/env python3
"""Writes gate.json: what the gate must say, in every language.

This is a second, independent writing of the token's format (core/src/gate/token.rs), with nothing
but Python's standard library. Run it after a change: python3 tests/vectors/make_gate.py

A case: the option `gate`, its secrets, the clock, what the request carries, and what is expected:
whether it asked, in which form, the verdict (open, closed, undecided), who, and the reason in the
gate's own words. `query`, `host` and the lists of header values are as they come in.
"""

import base64
import hashlib
import hmac
import json
import pathlib

NOW = 1795430000
FIRST = "the first secret of the vectors, 32 bytes or more"
SECOND = "the second secret of the vectors, for the rotation"
OTHER = "a secret that the application under test never saw"
HOST = "etsy.example"


def b64(data):
    data = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(secret, text):
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()


def key_id(secret):
    return b64(sign(secret, "ioprofiler key id")[:6])


def token(secret=FIRST, expires=NOW + 3600, host=HOST, who="ann", version="iop1", kid=None, extra=()):
    fields = [version, kid or key_id(secret), b64(str(expires)), b64(host), b64(who), *extra]
    text = ".".join(fields)
    return text + "." + b64(sign(secret, text))


def sloppy(text):
    """The last character with a bit set that base64url leaves unused."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


def flip(text, at):
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


CASES = []
GOOD = token()
UNKNOWN_FORM = "unknown form asked for (known: 1, text, json, ticket)"


def case(name, expect, gate="token", secrets=(FIRST,), now=NOW, query="ioprofiler=1", host=HOST,
         cookies=(), ask=(), tokens=(), parameter=None):
    if isinstance(expect, str):
        expect = {"asked": True, "form": "1", "verdict": "closed", "reason": expect}
    entry = {"name": name, "gate": gate, "secrets": list(secrets), "now": now, "query": query,
             "host": host, "cookies": list(cookies), "x_ioprofiler": list(ask),
             "x_ioprofiler_token": list(tokens), "expect": expect}
    if parameter:
        entry["parameter"] = parameter
    CASES.append(entry)


def opened(who="ann", form="1"):
    return {"asked": True, "form": form, "verdict": "open", "who": who}


def closed(reason, form):
    return {"asked": True, "form": form, "verdict": "closed", "reason": reason}


NOT_ASKED = {"asked": False}
UNDECIDED = {"asked": True, "form": "1", "verdict": "undecided"}

# Ways in.
case("header", opened(), tokens=[GOOD])
case("cookie over https", opened(), cookies=["__Host-ioprofiler=" + GOOD])
case("cookie without https", opened(), cookies=["ioprofiler=" + GOOD])
case("cookie among others", opened(), cookies=["a=1; b=\"x\";ioprofiler=" + GOOD + " ; z"])
case("cookies in several headers", opened(), cookies=["a=1", "__Host-ioprofiler=" + GOOD, "b=2"])
case("the same token twice", opened(), cookies=["ioprofiler=" + GOOD, "__Host-ioprofiler=" + GOOD],
     tokens=[GOOD])
case("nobody's name", opened(None), tokens=[token(who="")])
case("a name in any script", opened("Åsa 雪 🎿"), tokens=[token(who="Åsa 雪 🎿")])
case("second key", opened(), secrets=[FIRST, SECOND], tokens=[token(SECOND)])
case("first key of two", opened(), secrets=[FIRST, SECOND], tokens=[GOOD])
case("host with port", opened(), host="etsy.example:8443", tokens=[GOOD])
case("host in capitals", opened(), host="ETSY.Example", tokens=[GOOD])
case("host with final dot", opened(), host="etsy.example.:80", tokens=[GOOD])
case("address", opened(), host="127.0.0.1:8080", tokens=[token(host="127.0.0.1")])
case("IPv6 address", opened(), host="[::1]:8080", tokens=[token(host="[::1]")])
case("last second of patience", opened(), now=NOW + 3600 + 59, tokens=[GOOD])
case("longest life and a clock that is behind", opened(), tokens=[token(expires=NOW + 86400 + 60)])
case("512 bytes", opened("w" * 316), tokens=[token(who="w" * 316)])
assert len(token(who="w" * 316)) == 512, len(token(who="w" * 316))
case("everyone", opened(None), gate="everyone", secrets=[])
case("token or everyone", opened("ann"), gate="token, everyone", tokens=[GOOD])
case("bad token or everyone", opened(None), gate="token,everyone", tokens=["x"])
case("callable", UNDECIDED, gate="callable", secrets=[])
case("token before callable", opened(), gate="callable,token", tokens=[GOOD])
case("no token, then callable", UNDECIDED, gate="token,callable")
case("expired token, then callable", {**UNDECIDED, "reason": "token expired"}, gate="token,callable",
     now=NOW + 9999, tokens=[GOOD])

# Ways to fail.
case("nothing configured", "no way in is configured", gate="", secrets=[], tokens=[GOOD])
case("no token", "no token")
case("empty cookie", "no token", cookies=["__Host-ioprofiler="])
case("token in the URL", "no token", query="ioprofiler=1&token=" + GOOD)
case("token as the form", UNKNOWN_FORM, query="ioprofiler=" + GOOD)
case("token in another cookie", "no token", cookies=["xioprofiler=" + GOOD + "; __host-ioprofiler=" + GOOD])
case("expired", "token expired", now=NOW + 3600 + 60, tokens=[GOOD])
case("expired long ago", "token expired", tokens=[token(expires=0)])
case("good for too long", "token good for more than 24 hours", tokens=[token(expires=NOW + 86400 + 61)])
case("good for ever", "token good for more than 24 hours", tokens=[token(expires=999999999999)])
case("other key", "token of another key", tokens=[token(OTHER)])
case("key rotated away", "token of another key", secrets=[SECOND], tokens=[GOOD])
case("our key's id, another's mac", "token altered or signed with another key",
     tokens=[token(OTHER, kid=key_id(FIRST))])
case("mac of the second key under the first one's id", "token altered or signed with another key",
     secrets=[FIRST, SECOND], tokens=[token(SECOND, kid=key_id(FIRST))])
case("mac flipped", "token altered or signed with another key", tokens=[flip(GOOD, len(GOOD) - 5)])
case("expiry altered", "token altered or signed with another key",
     tokens=[GOOD.replace(b64(str(NOW + 3600)), b64(str(NOW + 7200)))])
case("who altered", "token altered or signed with another key",
     tokens=[GOOD.replace("." + b64("ann") + ".", "." + b64("bob") + ".")])
case("empty mac", "token altered or signed with another key", tokens=[GOOD[: GOOD.rindex(".") + 1]])
case("short mac", "token altered or signed with another key", tokens=[GOOD[: GOOD.rindex(".") + 1] + b64(b"12345678")])
case("mac in a second spelling", "token malformed", tokens=[sloppy(GOOD)])
case("mac with padding", "token malformed", tokens=[GOOD + "="])
case("mac in base64 instead of base64url", "token malformed", tokens=[GOOD[:-2] + "+/"])
case("mac missing", "token malformed", tokens=[GOOD[: GOOD.rindex(".")]])
case("truncated in the middle", "token malformed", tokens=[GOOD[:30]])
case("signed field too many", "token malformed", tokens=[token(extra=["eA"])])
case("field appended", "token malformed", tokens=[GOOD + ".eA"])
case("dot appended", "token malformed", tokens=[GOOD + "."])
case("only dots", "token of another version", tokens=["....."])
case("no dot", "token malformed", tokens=["iop1"])
case("other version", "token of another version", tokens=[token(version="iop2")])
case("version in capitals", "token of another version", tokens=[token(version="IOP1")])
case("a JWT with alg none", "token of another version", tokens=[b64('{"alg":"none"}') + "." + b64("{}") + "."])
case("513 bytes", "token longer than 512 bytes", tokens=[token(who="w" * 317)])
case("a letter that is none", "token malformed", tokens=[GOOD[:-1] + "é"])
case("signed expiry with plus", "token malformed", tokens=[token(expires="+1795433600")])
case("signed expiry with zero", "token malformed", tokens=[token(expires="01795433600")])
case("signed expiry negative", "token malformed", tokens=[token(expires="-1")])
case("signed expiry too large", "token malformed", tokens=[token(expires="18446744073709551617")])
case("signed expiry empty", "token malformed", tokens=[token(expires="")])
case("signed name with newline", "token malformed", tokens=[token(who="a\nb")])
case("signed name not UTF-8", "token malformed", tokens=[token(who=b"\xff\xfe")])
case("other host", "token of another host", host="staging.etsy.example", tokens=[GOOD])
case("host that ends alike", "token of another host", host="notetsy.example", tokens=[GOOD])
case("no host", "token of another host", host=None, tokens=[GOOD])
case("empty host", "token of another host", host="", tokens=[token(host="")])
case("host with user", "token of another host", host="etsy.example@evil.example", tokens=[GOOD])
case("host with a port that is none", "token of another host", host="etsy.example:80@evil.example", tokens=[GOOD])
case("two tokens in cookies", "two different tokens",
     cookies=["ioprofiler=" + GOOD + "; ioprofiler=" + token(who="bob")])
case("two cookies by name", "two different tokens",
     cookies=["__Host-ioprofiler=" + GOOD, "ioprofiler=" + token(who="bob")])
case("cookie and header", "two different tokens", cookies=["ioprofiler=" + GOOD], tokens=[token(who="bob")])
case("two headers", "two different tokens", tokens=[GOOD, token(SECOND)])
case("two headers joined", "two different tokens", tokens=[GOOD + ", " + token(SECOND)])
case("empty cookie beside a good one", "two different tokens", cookies=["ioprofiler=", "__Host-ioprofiler=" + GOOD])

# Asking.
for form in ["1", "text", "json", "ticket"]:
    case("query " + form, opened(form=form), query="a=b&ioprofiler=" + form + "&c", tokens=[GOOD])
    case("header " + form, opened(form=form), query="", ask=[form], tokens=[GOOD])
    case("cookie " + form, opened(form=form), query="",
         cookies=["ioprofiler_ask=" + form + "." + str(NOW + 900) + "; ioprofiler=" + GOOD])
case("token alone asks nothing", NOT_ASKED, query="", cookies=["ioprofiler=" + GOOD], tokens=[GOOD])
case("word in a value", NOT_ASKED, query="q=ioprofiler=1", tokens=[GOOD])
case("longer parameter", NOT_ASKED, query="xioprofiler=1&ioprofilerx=1", tokens=[GOOD])
case("encoded parameter", NOT_ASKED, query="%69oprofiler=1", tokens=[GOOD])
case("capitals in the query", NOT_ASKED, query="IOPROFILER=1", tokens=[GOOD])
case("another parameter", opened(), query="showme=1", parameter="showme", tokens=[GOOD])
case("another parameter, the usual name", NOT_ASKED, query="ioprofiler=1", parameter="showme", tokens=[GOOD])
case("unknown form", UNKNOWN_FORM, query="ioprofiler=2", tokens=[GOOD])
case("no form", UNKNOWN_FORM, query="ioprofiler", tokens=[GOOD])
case("unknown form in the header", UNKNOWN_FORM, query="", ask=["html"], tokens=[GOOD])
case("the same form twice", opened(form="text"), query="ioprofiler=text&ioprofiler=text", tokens=[GOOD])
case("two forms", "asked for two different forms", query="ioprofiler=1&ioprofiler=text", tokens=[GOOD])
case("two forms in headers", "asked for two different forms", query="", ask=["1", "text"], tokens=[GOOD])
case("two forms in one header", "asked for two different forms", query="", ask=["1, text"], tokens=[GOOD])
case("query before header and cookie", opened(form="json"), query="ioprofiler=json", ask=["text"],
     cookies=["ioprofiler_ask=ticket.%d" % (NOW + 900)], tokens=[GOOD])
case("header before cookie", opened(form="text"), query="", ask=["text"],
     cookies=["ioprofiler_ask=ticket.%d" % (NOW + 900)], tokens=[GOOD])
case("asking cookie, last second", opened(), query="", now=NOW + 899,
     cookies=["ioprofiler_ask=1.%d" % (NOW + 900)], tokens=[GOOD])
case("asking cookie, switched off", NOT_ASKED, query="", now=NOW + 900,
     cookies=["ioprofiler_ask=1.%d" % (NOW + 900)], tokens=[GOOD])
case("asking cookie, on for too long", NOT_ASKED, query="",
     cookies=["ioprofiler_ask=1.%d" % (NOW + 961)], tokens=[GOOD])
case("asking cookie without expiry", UNKNOWN_FORM, query="", cookies=["ioprofiler_ask=1"], tokens=[GOOD])
case("asked without a right", closed("no token", "text"), query="", ask=["text"])

out = pathlib.Path(__file__).with_name("gate.json")
lines = ",\n".join("  " + json.dumps(entry, ensure_ascii=False) for entry in CASES)
minted = {"secret": FIRST, "key_id": key_id(FIRST), "who": "ann", "host": HOST, "life": 3600, "now": NOW,
          "token": GOOD}
out.write_text('{"about": "written by make_gate.py",\n "mint": ' + json.dumps(minted)
               + ',\n "cases": [\n' + lines + "\n]}\n")
print(len(CASES), "cases")
