"""The market in Python: listings, shops and members of two shards, and the cache in front of them.

The same tables, keys and templates as the shop in Rust (`examples/shop`), so it runs on its servers
too: `DBSHARD01_URL` and `DBSHARD02_URL` (`mysql://` or `postgres://user:password@host:port/database`)
and `MEMCACHED=host:port`. Without them the shards are two SQLite files, filled at start, and the
cache is in this process.

Nothing here knows the profiler: the drivers and Jinja2 are hooked. The one exception is the cache in
this process, which does no I/O that a hook could see.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jinja2
from markupsafe import Markup

import ioprofiler

LISTING = ("listing_id", "shop_id", "title", "description", "category", "materials", "price_cents", "quantity")
SHOP = ("shop_id", "name", "headline", "city")
MEMBER = ("user_id", "name", "city")
FIRST_LISTING, LISTINGS, SHOPS, MEMBERS = 5_770_000, 400, 16, 90
FIRST_SHOP, FIRST_MEMBER = 6_000, 5_020_000
TEMPLATES = Path(__file__).resolve().parent.parent / "shop" / "templates"


class Shard:
    """One database, with a connection for each thread."""

    def __init__(self, connect: Any, paramstyle: str) -> None:
        self._connect = connect
        self._paramstyle = paramstyle
        self._local = threading.local()

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        cursor = connection.cursor()
        cursor.execute(sql.replace("?", self._paramstyle), values)
        return list(cursor.fetchall())


class LocalCache:
    """What memcache is where there is none."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        with ioprofiler.span("memcache_get", f"Cache HIT, keys: {key}") as call:
            value = self._values.get(key)
            if value is None:
                call.detail(f"Cache MISS, keys: {key}").misses(1)
            else:
                call.hits(1)
            return value

    def set(self, key: str, value: bytes) -> None:
        with ioprofiler.span("memcache_set", f"Cache SET, keys: {key}"):
            self._values[key] = value


class Market:
    """Odd listings, shops and members are on the first shard, even ones on the second."""

    def __init__(self, shards: tuple[Shard, Shard], cache: Any) -> None:
        self._shards = shards
        self._cache = cache

    def _shard(self, number: int) -> Shard:
        return self._shards[1 - number % 2]

    def _cached(self, kind: str, number: int, table: str, columns: tuple[str, ...]) -> dict[str, Any] | None:
        """A row by its number: from the cache, or from its shard and then kept."""
        key = f"{kind}:{number}"
        kept = self._cache.get(key)
        if kept is not None:
            found: dict[str, Any] = json.loads(kept)
            return found
        sql = f"SELECT {', '.join(columns)} FROM {table} WHERE {columns[0]} = ?"
        rows = self._shard(number).query(sql, number)
        if not rows:
            return None
        row = dict(zip(columns, rows[0], strict=True))
        self._cache.set(key, json.dumps(row).encode())
        return row

    def listing(self, number: int) -> dict[str, Any] | None:
        return self._cached("listing", number, "Listing", LISTING)

    def shop(self, number: int) -> dict[str, Any] | None:
        return self._cached("shop", number, "Shop", SHOP)

    def page(self, number: int) -> dict[str, Any] | None:
        """All that a listing's page shows."""
        listing = self.listing(number)
        if listing is None:
            return None
        shard, other = self._shard(number), self._shard(number + 1)
        favorites = shard.query("SELECT count(*) FROM FavoriteListingUser WHERE listing_id = ?", number)[0][0]
        fans = shard.query(
            "SELECT user_id FROM FavoriteListingUser WHERE listing_id = ? ORDER BY created DESC, user_id LIMIT 6",
            number,
        )
        columns = ", ".join(LISTING)
        more = shard.query(
            f"SELECT {columns} FROM Listing WHERE shop_id = ? AND listing_id <> ? ORDER BY listing_id DESC LIMIT 4",
            listing["shop_id"],
            number,
        )
        similar = other.query(
            f"SELECT {columns} FROM Listing WHERE category = ? AND price_cents <= ? "
            "ORDER BY price_cents DESC, listing_id LIMIT 4",
            listing["category"],
            listing["price_cents"],
        )
        return {
            "listing": listing,
            "shop": self.shop(listing["shop_id"]),
            "favorites": favorites,
            "fans": [fan for (user,) in fans if (fan := self._cached("member", user, "Member", MEMBER)) is not None],
            "more": _cards(more),
            "similar": _cards(similar),
        }


def _cards(rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [{"listing": dict(zip(LISTING, row, strict=True)), "shop": None, "favorites": None} for row in rows]


def templates() -> jinja2.Environment:
    """The templates of the shop in Rust."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    environment.filters["price"] = lambda cents: f"${cents // 100}.{cents % 100:02}"
    environment.filters["tone"] = lambda listing: listing % 12
    environment.globals["include"] = lambda name, **values: Markup(environment.get_template(name).render(**values))
    return environment


def open_market() -> Market:
    """The shards and the cache that the environment names; else embedded ones."""
    urls = [os.environ.get(f"DBSHARD0{number}_URL") for number in (1, 2)]
    if all(urls):
        first, second = (_server_shard(url) for url in urls if url is not None)
        for number, shard in enumerate((first, second), 1):
            _check(f"DBSHARD0{number}_URL", shard)
    elif any(urls):
        raise SystemExit("DBSHARD01_URL and DBSHARD02_URL: set both, or none for SQLite files")
    else:
        first, second = _embedded_shards()
    address = os.environ.get("MEMCACHED")
    if address is None:
        return Market((first, second), LocalCache())
    from pymemcache.client.base import PooledClient

    return Market((first, second), PooledClient(address))


def _server_shard(url: str) -> Shard:
    parts = urlsplit(url)
    name = parts.path.lstrip("/")
    if parts.scheme in ("postgres", "postgresql"):
        import psycopg

        return Shard(lambda: psycopg.connect(url.replace("postgres://", "postgresql://", 1), autocommit=True), "%s")
    if parts.scheme == "mysql":
        import pymysql

        options = {"host": parts.hostname, "port": parts.port or 3306, "user": unquote(parts.username or "")}
        password = unquote(parts.password or "")
        return Shard(lambda: pymysql.connect(**options, password=password, database=name, autocommit=True), "%s")
    raise SystemExit(f"{parts.scheme}://: allowed are mysql:// and postgres://")


def _check(name: str, shard: Shard) -> None:
    try:
        shard.query("SELECT listing_id FROM Listing WHERE listing_id = 0")
    except Exception as error:
        rust = "cargo run --release --example shop"
        raise SystemExit(f"{name}: {error}\nWith the same addresses, {rust} fills both shards.") from None


def _embedded_shards() -> tuple[Shard, Shard]:
    folder = tempfile.mkdtemp(prefix="ioprofiler-shop-")
    shards = []
    for number in (1, 2):
        path = os.path.join(folder, f"dbshard0{number}.sqlite")
        _fill(path, parity=number % 2)
        shards.append(Shard(lambda path=path: sqlite3.connect(path), "?"))
    return shards[0], shards[1]


def _fill(path: str, parity: int) -> None:
    kinds = [
        ("ceramics", "Clay pot"),
        ("knitwear", "Wool hat"),
        ("woodwork", "Birch bowl"),
        ("paper goods", "Folded lamp"),
    ]

    def mine(first: int, count: int) -> range:
        return range(first + (parity - first) % 2, first + count, 2)

    with sqlite3.connect(path) as database:
        database.executescript(
            "CREATE TABLE Shop (shop_id BIGINT PRIMARY KEY, name, headline, city, owner_id BIGINT);"
            "CREATE TABLE Member (user_id BIGINT PRIMARY KEY, name, city);"
            "CREATE TABLE FavoriteListingUser (listing_id BIGINT, user_id BIGINT, created BIGINT);"
            "CREATE TABLE Listing (listing_id BIGINT PRIMARY KEY, shop_id BIGINT, title, description, category,"
            " materials, price_cents BIGINT, quantity BIGINT, created BIGINT);"
        )
        shops = [(shop, f"Shop{shop}", "Made by hand", "Brooklyn", 0) for shop in mine(FIRST_SHOP, SHOPS)]
        database.executemany("INSERT INTO Shop VALUES (?, ?, ?, ?, ?)", shops)
        members = [(member, f"Member {member}", "Portland") for member in mine(FIRST_MEMBER, MEMBERS)]
        database.executemany("INSERT INTO Member VALUES (?, ?, ?)", members)
        listings, favorites = [], []
        for place, listing in enumerate(mine(FIRST_LISTING, LISTINGS)):
            category, title = kinds[place % len(kinds)]
            shop = shops[place % len(shops)][0]
            price = 900 + 37 * place
            listings.append((listing, shop, f"{title} {listing}", "One of a kind.", category, "clay", price, 3, place))
            favorites += [(listing, member[0], place) for member in members[: place % 7]]
        database.executemany("INSERT INTO Listing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", listings)
        database.executemany("INSERT INTO FavoriteListingUser VALUES (?, ?, ?)", favorites)
