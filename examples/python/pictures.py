"""What the listing page links to: its style, and a picture for each sort of goods, in twelve colors."""

from __future__ import annotations

from pathlib import Path

SHAPES = {
    "ceramics": "<path d='M80 60h80l-8 62a20 20 0 0 1-20 16h-24a20 20 0 0 1-20-16z'/>"
    "<path d='M158 76h14a16 16 0 0 1 0 34h-18' fill='none' stroke-width='8'/>",
    "knitwear": "<path d='M78 50h84v20H78zM86 70h24v78H86zM130 70h24v58h-24z'/>"
    "<path d='M86 86h24M86 102h24M86 118h24M130 86h24M130 102h24' stroke-width='3' fill='none'/>",
    "woodwork": "<rect x='72' y='62' width='96' height='70' rx='8'/>"
    "<path d='M84 78q36 12 72 0M84 96q36 12 72 0M84 114q36 12 72 0' fill='none' stroke-width='3'/>",
    "paper goods": "<path d='M84 40h58l20 20v80H84z'/>"
    "<path d='M98 76h48M98 92h48M98 108h30' fill='none' stroke-width='4'/>",
}


def style() -> str:
    """The style of the shop in Rust."""
    return (Path(__file__).resolve().parent.parent / "shop" / "shop.css").read_text()


def picture(kind: str, tone: int) -> str:
    """The SVG of `/static/picture/KIND/TONE.svg`."""
    hue = tone % 12 * 30
    return (
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 240 180'>"
        f"<rect width='240' height='180' fill='hsl({hue} 38% 86%)'/>"
        f"<ellipse cx='120' cy='150' rx='62' ry='8' fill='hsl({hue} 30% 74%)'/>"
        f"<g fill='hsl({hue} 42% 48%)' stroke='hsl({hue} 45% 34%)' stroke-linejoin='round'>{SHAPES.get(kind, '')}</g>"
        "</svg>"
    )
