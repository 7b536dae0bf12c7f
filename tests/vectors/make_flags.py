#!/usr/bin/env python3
"""Makes flags.json: what every implementation of the flags must decide.

Written from the specification alone (the crate's documentation of `flags::bucket_of` and of the
order of decision), so that an error in the Rust code cannot hide in the vectors.

    python3 tests/vectors/make_flags.py > tests/vectors/flags.json
"""

import json
from decimal import Decimal

M = (1 << 64) - 1
P1, P2, P3, P4, P5 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


def rotate(x, r):
    return ((x << r) | (x >> (64 - r))) & M


def lane(acc, word):
    return rotate((acc + word * P2) & M, 31) * P1 & M


def xxh64(data):
    """The xxHash specification, XXH64 with seed 0."""
    at = 0
    if len(data) >= 32:
        acc = [(P1 + P2) & M, P2, 0, -P1 & M]
        while at + 32 <= len(data):
            for i in range(4):
                acc[i] = lane(acc[i], int.from_bytes(data[at : at + 8], "little"))
                at += 8
        h = sum(rotate(a, r) for a, r in zip(acc, (1, 7, 12, 18))) & M
        for a in acc:
            h = ((h ^ lane(0, a)) * P1 + P4) & M
    else:
        h = P5
    h = (h + len(data)) & M
    while at + 8 <= len(data):
        h = (rotate(h ^ lane(0, int.from_bytes(data[at : at + 8], "little")), 27) * P1 + P4) & M
        at += 8
    if at + 4 <= len(data):
        h = (rotate(h ^ (int.from_bytes(data[at : at + 4], "little") * P1 & M), 23) * P2 + P3) & M
        at += 4
    while at < len(data):
        h = rotate(h ^ (data[at] * P5 & M), 11) * P1 & M
        at += 1
    h = (h ^ (h >> 33)) * P2 & M
    h = (h ^ (h >> 29)) * P3 & M
    return h ^ (h >> 32)


def text_hash(text):
    return xxh64(text.encode())


def bucket(unit, flag):
    """SplitMix64's first output, scaled to 0..99,999,999."""
    z = ((text_hash(unit) ^ text_hash(flag)) + 0x9E3779B97F4A7C15) & M
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & M
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & M
    z ^= z >> 31
    return z * 100_000_000 >> 64


def share(percent):
    if isinstance(percent, str):
        percent = percent.rstrip("%")
    return int(Decimal(str(percent)) * 1_000_000)


def decide(document, name, who):
    """(state, variant, reason) by the order of decision."""
    flag = document["flags"].get(name)
    shed = document.get("shed", {}).get("from")
    if flag is None:
        return ("default", None, "not_found")

    def result(variant, reason):
        if variant == "dark" and shed is not None:
            return ("off", "off", "shed")
        state = {"off": "off", "dark": "dark"}.get(variant, "on")
        return (state, variant, reason)

    enabled = flag.get("enabled", 0)
    if enabled == "off" or enabled is False:
        return result("off", "killed")
    if shed is not None and flag.get("priority", 0) >= shed:
        return result("off", "shed")
    groups, users = flag.get("groups", {}), flag.get("users", {})
    shares = []
    if isinstance(enabled, dict):
        shares = [(v, share(p)) for v, p in enabled.items()]
    elif isinstance(enabled, str) and enabled.endswith("%"):
        shares = [("on", share(enabled))]
    elif not isinstance(enabled, (str, bool)):
        shares = [("on", share(enabled))]
    variants = {"on", "off", "dark", *users.values(), *groups.values(), *flag.get("variants", {})}
    variants |= {v for v, _ in shares} | ({enabled} if isinstance(enabled, str) else set())
    chosen = who.get("overrides", {}).get(name)
    if chosen in variants:
        return result(chosen, "override")
    if who.get("user") and who["user"] in users:
        return result(users[who["user"]], "user")
    for group, variant in groups.items():
        if group in who.get("groups", []):
            return result(variant, "group:" + group)
    if enabled is True:
        return result("on", "on")
    if isinstance(enabled, str) and not enabled.endswith("%"):
        return result(enabled, "on")
    bounds, below = [], 0
    parts = [(variant, part, "percent") for variant, part in shares]
    parts.append(("dark", share(flag.get("dark", 0)), "dark"))
    for variant, part, reason in parts:
        if part:
            below = min(below + part, 100_000_000)
            bounds.append((below, variant, reason))
    if not bounds:
        return result("off", "off")
    if bounds[0][0] == 100_000_000:
        return result(bounds[0][1], bounds[0][2])
    by = flag.get("bucket_by")
    if by is None:
        unit = who.get("visitor") or who.get("user")
    elif by in ("visitor", "user", "request"):
        unit = who.get(by)
    else:
        unit = who.get("attributes", {}).get(by)
    if not unit:
        return result("off", "no_unit")
    at = bucket(unit, flag.get("salt", name))
    for below, variant, reason in bounds:
        if at < below:
            return result(variant, reason)
    return result("off", "off")


TEXTS = [
    "",
    "a",
    "1",
    "abc",
    "1.0",
    "5020244",
    "new_search",
    "12345678",
    "Zo\u00eb",
    "Zoe\u0308",
    "\u65e5\u672c\u8a9e",
    "\U0001f469\u200d\U0001f680",
    "with\0nul",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "exactly thirty-two bytes of text",
    "one more than thirty-two bytes...",
    "x" * 31,
    "x" * 63,
    "x" * 64,
    "x" * 1000,
]

FLAGS = {
    "killed": {"enabled": "off", "users": {"ann": "on"}, "groups": {"staff": "on"}, "dark": 100},
    "no": {"enabled": False},
    "on": {"enabled": "on", "users": {"bob": "off"}},
    "yes": {"enabled": True},
    "green": {"enabled": "green", "variants": {"green": 1}},
    "absent": {"users": {"ann": "on"}},
    "ten": {"enabled": 10},
    "half": {"enabled": "50%"},
    "tiny": {"enabled": "0.000001%"},
    "none": {"enabled": "0%", "groups": {"staff": "on"}},
    "all": {"enabled": 100, "priority": 9},
    "colours": {
        "enabled": {"blue": 10, "green": 20.5, "red": "33.333333%"},
        "users": {"ann": "red", "5020244": "green"},
        "groups": {"staff": "blue", "beta": "off"},
        "variants": {"blue": 1, "green": 2, "red": 3, "yellow": 4},
        "id": 51,
        "priority": 3,
    },
    "next": {"enabled": 10, "dark": 50, "priority": 7},
    "dark": {"dark": 100},
    "dark_staff": {"groups": {"staff": "on"}, "dark": 30},
    "by_user": {"enabled": 50, "bucket_by": "user"},
    "by_visitor": {"enabled": 50, "bucket_by": "visitor"},
    "by_request": {"enabled": 50, "bucket_by": "request"},
    "by_country": {"enabled": 50, "bucket_by": "country"},
    "salted": {"enabled": 50, "salt": "half"},
}

SUBJECTS = [
    {},
    {"user": ""},
    {"user": "ann"},
    {"user": "bob", "groups": ["beta", "staff"]},
    {"user": "5020244"},
    {"visitor": "6f1c3a90", "user": "5020244", "groups": ["staff"]},
    {"visitor": "6f1c3a90"},
    {"visitor": "\u65e5\u672c\u8a9e", "request": "4bf92f3577b34da6a3ce929d0e0e4736"},
    {"user": "1", "attributes": {"country": "de"}},
    {"user": "carol", "overrides": {"killed": "on", "ten": "on", "colours": "yellow", "half": "off"}},
    {"user": "dave", "overrides": {"colours": "pink", "ten": "dark", "missing": "on"}},
] + [{"visitor": f"visitor{n}", "user": f"user{n}"} for n in range(12)]


def main():
    documents = {
        "calm": {"flags": FLAGS},
        "shed": {"shed": {"from": 7, "why": "db_shard02 is melting"}, "flags": FLAGS},
    }
    decisions = []
    for document, content in documents.items():
        for name in [*FLAGS, "missing"]:
            for who in SUBJECTS:
                state, variant, reason = decide(content, name, who)
                case = {"document": document, "flag": name, "who": who}
                case |= {"state": state, "variant": variant, "reason": reason}
                decisions.append(case)
    units = ["", "1", "ann", "5020244", "6f1c3a90", "\u65e5\u672c\u8a9e", *(f"u{n}" for n in range(20))]
    vectors = {
        "about": "made by make_flags.py; the contract of hash, bucket and order of decision",
        "hash": [{"text": text, "xxh64": f"{text_hash(text):016x}"} for text in TEXTS],
        "bucket": [
            {"flag": flag, "unit": unit, "bucket": bucket(unit, flag)}
            for flag in ("new_search", "f", "\u65e5")
            for unit in units
        ],
        "number": [
            {"number": number, "text": text}
            for number, text in [
                (0, "0"),
                (1, "1"),
                (1.0, "1"),
                (-1.0, "-1"),
                (1.5, "1.5"),
                (0.1, "0.1"),
                (1e21, "1000000000000000000000"),
                (1e-7, "0.0000001"),
                (9007199254740993, "9007199254740992"),
            ]
        ],
        "documents": documents,
        "decisions": decisions,
    }
    parts = []
    for key, value in vectors.items():
        if isinstance(value, list):
            lines = ",\n".join("  " + json.dumps(case) for case in value)
            parts.append(f' "{key}": [\n{lines}\n ]')
        else:
            parts.append(f' "{key}": {json.dumps(value)}')
    print("{\n" + ",\n".join(parts) + "\n}")


if __name__ == "__main__":
    main()
