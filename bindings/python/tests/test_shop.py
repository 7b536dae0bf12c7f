"""The shop in Python, under Flask and FastAPI: embedded, and on real servers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import servers
from serving import free_port, get, program

SHOP = Path(__file__).resolve().parents[3] / "examples" / "python"


def page_of(name, environment, listing):
    port = free_port()
    env = {**os.environ, **environment}
    with program(sys.executable, str(SHOP / name), str(port), port=port, cwd=str(SHOP), env=env):
        first = get(port, f"/listing/{listing}?ioprofiler=text")[2].decode()
        again = get(port, f"/listing/{listing}?ioprofiler=text")[2].decode()
        page = get(port, f"/listing/{listing}?ioprofiler=1")[2].decode()
        assert get(port, "/listing/5")[0] == 404
        # Whatever the page links to is there.
        for link in re.findall(r'(?:src|rel="stylesheet" href)="(/[^"]+)"', page):
            status, headers, body = get(port, link.replace(" ", "%20"))
            assert status == 200, link
            assert dict(headers)["content-type"].partition(";")[0] in ("text/css", "image/svg+xml"), link
            assert body
    return first, again, page


@pytest.mark.parametrize("name", ["shop_flask.py", "shop_fastapi.py"])
def test_embedded(name):
    first, again, page = page_of(name, {}, 5_770_001)
    for text in (first, again):
        assert "[dbshard01] " in text
        assert "[dbshard02] " in text
        assert "[template] " in text
        assert "part/heart.html" in text
        assert "market.py:" in text
    assert "Cache MISS, keys: listing:5770001" in first
    assert "Cache HIT, keys: listing:5770001" in again
    assert first.count("SELECT listing_id") > again.count("SELECT listing_id")
    assert "TOTAL CALLS" in page
    assert "Wool hat" in page or "Clay pot" in page


def test_on_real_servers(tmp_path):
    import psycopg

    port = servers.postgresql()
    dsn = f"postgres://{servers.USER}:{servers.PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/"
    plain = f"host=127.0.0.1 port={port} user={servers.USER} password='{servers.PASSWORD}'"
    with psycopg.connect(f"{plain} dbname={servers.DATABASE}", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS market01")
        connection.execute("DROP DATABASE IF EXISTS market02")
        for name in ("market01", "market02"):
            connection.execute(f"CREATE DATABASE {name}")
    environment = {
        "DBSHARD01_URL": dsn + "market01",
        "DBSHARD02_URL": dsn + "market02",
        "MEMCACHED": f"127.0.0.1:{servers.memcached()}",
    }
    # Nothing is in them yet.
    command = [sys.executable, str(SHOP / "shop_flask.py"), str(free_port())]
    env = {**os.environ, **environment}
    ran = subprocess.run(command, cwd=SHOP, env=env, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert "\nDBSHARD01_URL: " in ran.stderr, ran.stderr
    assert "cargo run --release --example shop fills both shards" in ran.stderr
    tables = (
        "CREATE TABLE Shop (shop_id BIGINT, name TEXT, headline TEXT, city TEXT);"
        "CREATE TABLE Member (user_id BIGINT, name TEXT, city TEXT);"
        "CREATE TABLE FavoriteListingUser (listing_id BIGINT, user_id BIGINT, created BIGINT);"
        "CREATE TABLE Listing (listing_id BIGINT, shop_id BIGINT, title TEXT, description TEXT, category TEXT,"
        " materials TEXT, price_cents BIGINT, quantity BIGINT);"
        "INSERT INTO Listing VALUES (5770001, 6001, 'Clay pot', 'Of clay.', 'ceramics', 'clay', 1850, 1);"
        "INSERT INTO Shop VALUES (6001, 'Pots', 'Of clay', 'Brooklyn');"
        "INSERT INTO Member VALUES (5020001, 'Ann', 'Portland');"
        "INSERT INTO FavoriteListingUser VALUES (5770001, 5020001, 1)"
    )
    for name in ("market01", "market02"):
        with psycopg.connect(f"{plain} dbname={name}", autocommit=True) as connection:
            connection.execute(tables)
    first, again, page = page_of("shop_flask.py", environment, 5_770_001)
    assert "[market01] " in first
    assert "[market02] " in first
    assert "db_connect" in first
    assert "Cache HIT, keys: listing:5770001" in again
    assert "Clay pot" in page
    assert "Ann of Portland" in page
