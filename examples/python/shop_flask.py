"""The shop's listing page under Flask: `python examples/python/shop_flask.py`."""

from __future__ import annotations

import sys
from typing import Any

import flask
import market
import pictures

import ioprofiler
import ioprofiler.flask

#: Shown to everyone, because nobody but you can reach it: elsewhere say who may look.
profiler = ioprofiler.Profiler(gate="everyone", build="example")
shop = market.open_market()
templates = market.templates()

app = flask.Flask(__name__, static_folder=None)
ioprofiler.flask.init_app(app, profiler)


@app.get("/listing/<int:number>")
def listing(number: int) -> Any:
    page = shop.page(number)
    if page is None:
        flask.abort(404)
    ioprofiler.note(listing=number)
    return templates.get_template("listing.html").render(**page)


@app.get("/")
def home() -> Any:
    return flask.redirect(f"/listing/{market.FIRST_LISTING}")


@app.get("/static/shop.css")
def style() -> Any:
    return flask.Response(pictures.style(), mimetype="text/css")


@app.get("/static/picture/<kind>/<int:tone>.svg")
def picture(kind: str, tone: int) -> Any:
    return flask.Response(pictures.picture(kind, tone), mimetype="image/svg+xml")


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    print(f"http://127.0.0.1:{port}/listing/{market.FIRST_LISTING}?ioprofiler=1", flush=True)
    app.run(port=port)
