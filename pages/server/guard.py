"""Who may ask what of this server: checks before every request, headers on every answer.

Pure ASGI, because Starlette's BaseHTTPMiddleware never sees a websocket, and Streamlit's pages live on one.
"""

import base64
import hashlib
import hmac
import importlib.util
import os
import re
import secrets
from collections.abc import Callable
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.words import say

LOOPBACK = frozenset(("localhost", "127.0.0.1", "[::1]"))
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
TOKEN_HEADER = "X-Graft-Token"  # noqa: S105  the header's name


class Guard:
    """The outermost middleware.

    ``address`` tells where the server listens. On loopback only loopback names are answered to: otherwise a site could
    point its own name at 127.0.0.1 and read the pages as if they were its own (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, address: Callable[[], str | None]) -> None:
        self.app = app
        self._address = address
        self._headers = security_headers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        reason = self._fault(scope)
        if scope["type"] == "websocket":
            if reason:
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
            await send(message)

        if reason:
            refusal = JSONResponse({"error": say(f"upload.refusal.{reason}")}, status_code=403)
            await refusal(scope, receive, send_guarded)
        else:
            await self.app(scope, receive, send_guarded)

    def _fault(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host_name(self._address() or "") in LOOPBACK and host_name(host) not in LOOPBACK:
            return "host"
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if changes and not same_site(headers.get("origin"), headers.get("sec-fetch-site"), host):
            return "origin"
        return None


def host_name(host: str) -> str:
    """``"[::1]"`` of ``"[::1]:8501"``; empty if it is no host at all."""
    match = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^:@/\s]+)(:\d{1,5})?", host.strip().lower())
    if match:
        return match[1].rstrip(".")
    return "[::1]" if host.strip() == "::1" else ""


def same_site(origin: str | None, fetch_site: str | None, host: str) -> bool:
    """Whether our own page sent this. Without either header it was no browser: then the token decides."""
    if fetch_site is not None and fetch_site not in ("same-origin", "none"):
        return False
    return origin is None or origin.partition("://")[2].lower() == host.lower()


def security_headers() -> dict[str, str]:
    """Headers for every answer: no other host, no frame around us, no guessing of types, the camera for ourselves."""
    policy = {
        "default-src": "'none'",
        "script-src": f"'self' blob: {' '.join(inline_script_hashes())}",  # components arrive as blobs
        "style-src": "'self' 'unsafe-inline'",  # Streamlit's and plotly's styles are written into the page
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "media-src": "'self' data: blob:",
        "connect-src": "'self' data: blob:",
        "worker-src": "'self' blob:",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(self), clipboard-read=(self), clipboard-write=(self), fullscreen=(self), "
        "geolocation=(), microphone=(), payment=(), usb=()",
    }


@cache
def inline_script_hashes() -> tuple[str, ...]:
    """The scripts inside Streamlit's own index.html, by hash, so that no other inline script may run."""
    package = importlib.util.find_spec("streamlit")
    if package is None or package.origin is None:
        return ()
    page = (Path(package.origin).parent / "static" / "index.html").read_text("utf-8")
    scripts = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", page, re.DOTALL)
    return tuple(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts)


def read_or_make_secret(root: Path) -> bytes:
    """The workspace's secret: 32 random bytes that only this user can read, made once and then kept."""
    path = root / "secret"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        root.mkdir(parents=True, exist_ok=True)
    temporary = root / f".secret.{secrets.token_hex(8)}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(32))
    try:
        os.link(temporary, path)  # fails if another server was faster: then its secret is the one
    except FileExistsError:
        pass
    except OSError:  # no hard links here
        if not path.exists():
            os.replace(temporary, path)
    temporary.unlink(missing_ok=True)
    return path.read_bytes()


@cache
def secret_of(root: Path) -> bytes:
    """The secret of the workspace in ``root``, read once."""
    return read_or_make_secret(root)


def token_for(secret: bytes, *subject: str) -> str:
    """Proof that our own page spoke of ``subject`` (an action, an owner, an id): nobody without the secret makes it."""
    return hmac.new(secret, "\0".join(subject).encode(), hashlib.sha256).hexdigest()


def token_fits(secret: bytes, given: str | None, *subject: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), token_for(secret, *subject).encode())
