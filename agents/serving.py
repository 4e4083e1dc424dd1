"""What the pages in the browser share: a small server meant for one's own machine, and who may talk to it.

Only this module imports Starlette and Uvicorn, which are an extra; the pages take their names from here.
"""

import ipaddress
import socket
from typing import Any

from exposure_env.parsing import parse_json

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.datastructures import Headers, QueryParams
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send
except ImportError as error:
    raise ValueError('the page needs Starlette and Uvicorn: pip install -e ".[play]"') from error

__all__ = [
    "HTTPException", "QueryParams", "Request", "Response", "Route", "Starlette", "address", "body_of", "guarded",
    "host_names", "image_reply", "is_loopback", "json_reply", "listen", "make_server", "page_reply",
    "run_in_threadpool", "told",
]  # fmt: skip

MOST_BODY = 4096  # bytes of a question or an answer
POLICY = ("default-src 'none'", "connect-src 'self'", "img-src 'self' data:", "base-uri 'none'", "form-action 'none'",
          "frame-ancestors 'none'")
HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
           "Content-Security-Policy": "; ".join(POLICY)}


class Guard:
    """An application that only pages of this server may talk to.

    A page of another site has another Origin. One whose name was made to point to this machine (DNS rebinding) has
    another Host.

    Args:
        app: The application behind.
        hosts: What the Host header may be; None for anything.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None):
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with status 403."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        headers, app = Headers(scope=scope), self.app
        host = headers.get("host", "").lower()
        if self.hosts is not None and host not in self.hosts:
            app = json_reply({"error": f"this server is not {host!r:.100}"}, 403)
        elif headers.get("origin", f"http://{host}").lower() != f"http://{host}":
            app = json_reply({"error": "this server answers its own page only"}, 403)
        await app(scope, receive, send)


def guarded(routes: list[Route], hosts: frozenset[str] | None) -> Starlette:
    """An application of these routes that refuses others' pages, and says in JSON why it refuses anything.

    Args:
        routes: What there is. An `HTTPException` becomes {"error": its detail}.
        hosts: See `Guard` and `host_names`.
    """
    def refused(request: Request, error: HTTPException) -> Response:
        return json_reply({"error": error.detail}, error.status_code)

    return Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts)],
                     exception_handlers={HTTPException: refused})


def page_reply(content: bytes, media_type: str, *inline: str) -> Response:
    """A part of a page, which may load from this server alone.

    Args:
        content: The file.
        media_type: What it is.
        *inline: Sources of code and style that the page may have besides, such as "style-src 'unsafe-inline'".
    """
    policy = "; ".join((*POLICY, *inline))
    return Response(content, media_type=media_type, headers=HEADERS | {"Content-Security-Policy": policy})


def image_reply(content: bytes) -> Response:
    """A JPEG."""
    return Response(content, media_type="image/jpeg", headers=HEADERS)


def json_reply(content: dict[str, Any], status: int = 200) -> JSONResponse:
    """A JSON object."""
    return JSONResponse(content, status, headers=HEADERS)


async def body_of(request: Request, most: int = MOST_BODY) -> bytes:
    """A request's body.

    Raises:
        HTTPException: 413 if it is longer than `most` bytes, the rest of which is not read; 400 if it ends too early.
    """
    limit = f"{most / 1e6:.0f} MB" if most >= 1e6 else f"{most} bytes"
    too_long = HTTPException(413, f"this is too long: the limit is {limit}")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > most:
        raise too_long
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise too_long
    except ClientDisconnect as error:  # nobody reads the answer
        raise HTTPException(400, "the rest never arrived") from error
    return bytes(body)


def told(body: bytes, what: str) -> dict[str, Any]:
    """The JSON object in a body; an empty one for any other JSON value.

    Raises:
        HTTPException: 400 if it is not JSON; `what` says what was wanted.
    """
    try:
        value = parse_json(body)
    except ValueError as error:
        raise HTTPException(400, f"this is no {what}: {error}") from error
    return value if isinstance(value, dict) else {}


def make_server(app: ASGIApp) -> uvicorn.Server:
    """A server for the application; `run(sockets=[...])` lasts until Ctrl-C, and then raises KeyboardInterrupt."""
    return uvicorn.Server(uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
                                         server_header=False, timeout_graceful_shutdown=3))


def listen(host: str, port: int = 0) -> socket.socket:
    """A socket that listens on the port, or on a free one if it is 0.

    Raises:
        ValueError: If it can't.
    """
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:  # OverflowError: no such port
        raise ValueError(f"can't listen on {host}, port {port}: {error}") from error
    # Else an answer's body waits 40 ms for its head to be acknowledged; asyncio doesn't know these sockets for TCP.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def address(listening: socket.socket, host: str) -> str:
    """The page's address."""
    return f"http://{_bracketed(host)}:{listening.getsockname()[1]}/"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name
        return False


def host_names(listening: socket.socket, host: str) -> frozenset[str] | None:
    """What the Host header of the page's own requests may be; None, anything, for a host that others reach."""
    if not is_loopback(host):
        return None
    names, port = {"localhost", "127.0.0.1", "[::1]", _bracketed(host)}, listening.getsockname()[1]
    return frozenset({f"{name}:{port}" for name in names} | (names if port == 80 else set()))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
