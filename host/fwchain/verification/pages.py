"""What a verification node shows of itself: `/metrics` for Prometheus, `/` for people, `/root/<n>` for nodes."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from aiohttp import web

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222}}
h1{{font-size:1.4rem}}h2{{font-size:1.1rem;margin-top:2rem}}table{{border-collapse:collapse;width:100%}}
td,th{{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #ddd}}</style>
<h1>{title}</h1>{body}</html>"""


def table(heading: str, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """An HTML table; every cell is escaped."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{html.escape(heading)}</h2><table><tr>{head}</tr>{body or '<tr><td>none yet</td></tr>'}</table>"


def metrics(values: Mapping[str, float], dropped: Mapping[str, int]) -> str:
    """The text format of Prometheus."""
    lines = [f"fwchain_{name} {value}" for name, value in sorted(values.items())]
    lines += [f'fwchain_dropped_total{{reason="{reason}"}} {count}' for reason, count in sorted(dropped.items())]
    return "\n".join(lines) + "\n"


def root_handler(folder: Path) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Serves trust roots by number, so that a node can follow them one by one."""

    async def handle(request: web.Request) -> web.StreamResponse:
        path = folder / request.match_info["number"]
        if not request.match_info["number"].isdigit() or not path.is_file():
            raise web.HTTPNotFound(text="no such root")
        return web.Response(body=path.read_bytes(), content_type="application/octet-stream")

    return handle
