"""The shop's listing page under FastAPI: `python examples/python/shop_fastapi.py`."""

from __future__ import annotations

import asyncio
import sys

import fastapi
import market
import pictures
import uvicorn
from fastapi.responses import HTMLResponse, RedirectResponse, Response

import ioprofiler
import ioprofiler.fastapi

#: Shown to everyone, because nobody but you can reach it: elsewhere say who may look.
profiler = ioprofiler.Profiler(gate="everyone", build="example")
shop = market.open_market()
templates = market.templates()

app = fastapi.FastAPI()
ioprofiler.fastapi.init_app(app, profiler)


@app.get("/listing/{number}", response_class=HTMLResponse)
async def listing(number: int) -> HTMLResponse:
    # The drivers wait, so they do it on another thread, which carries the request along.
    page = await asyncio.to_thread(shop.page, number)
    if page is None:
        raise fastapi.HTTPException(404)
    ioprofiler.note(listing=number)
    return HTMLResponse(templates.get_template("listing.html").render(**page))


@app.get("/")
async def home() -> RedirectResponse:
    return RedirectResponse(f"/listing/{market.FIRST_LISTING}")


@app.get("/static/shop.css")
async def style() -> Response:
    return Response(pictures.style(), media_type="text/css")


@app.get("/static/picture/{kind}/{tone}.svg")
async def picture(kind: str, tone: int) -> Response:
    return Response(pictures.picture(kind, tone), media_type="image/svg+xml")


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    print(f"http://127.0.0.1:{port}/listing/{market.FIRST_LISTING}?ioprofiler=1", flush=True)
    uvicorn.run(app, port=port, log_level="warning")
