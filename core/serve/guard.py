"""Who may ask the service: host name, sender's page and token are looked at; headers for every answer. Torch-free."""

import base64
import hashlib
import hmac
import ipaddress
import re
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.serve.refusal import Refusal, refused

LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
OPEN = frozenset(("/", "/health", "/openapi.json"))  # they tell nothing of the model's classes, and need no token
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Access:
    """Where the service listens, and whom it answers."""

    host: str = "127.0.0.1"
    names: tuple[str, ...] = ()  # more names that it is called by, of a machine or a proxy
    token: str | None = None
    origins: tuple[str, ...] = ()  # pages of other sites that may ask; "*": all

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK

    def knows(self, host: str) -> bool:
        """Whether a request may be for ``host``.

        A site can point a name of its own at this address and then read the answers as if they were its own (DNS
        rebinding). So names must be known. Addresses can't be pointed anywhere; they count unless only this machine
        is listened to.
        """
        if host in LOOPBACK or host in self.names:
            return True
        return not self.is_loopback and (host == self.host or _is_address(host))


class Guard:
    """Refuses before anything of a request's body is read."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._fault(scope) if scope["type"] == "http" else None
        if fault is None:
            await self.app(scope, receive, send)
        else:
            await refused(fault)(scope, receive, send)

    def _fault(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        if not self.access.knows(host_name(headers.get("host", ""))):
            return Refusal(403, "host", host=headers.get("host", "")[:200])
        origin = headers.get("origin")
        if origin is not None and not self._may_ask(origin, headers.get("host", "")):
            return Refusal(403, "origin", origin=origin[:200])
        if self.access.token is not None and scope["path"] not in OPEN and scope["method"] != "OPTIONS":
            word, _, given = headers.get("authorization", "").partition(" ")
            right = hmac.compare_digest(given.strip().encode(), self.access.token.encode())
            if word.lower() != "bearer" or not right:
                return Refusal(401, "token", headers={"WWW-Authenticate": "Bearer"})
        return None

    def _may_ask(self, origin: str, host: str) -> bool:
        own = origin.partition("://")[2].lower() == host.lower()
        return own or "*" in self.access.origins or origin in self.access.origins


class WithHeaders:
    """The outermost: puts ``HEADERS`` on every answer that hasn't its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def host_name(host: str) -> str:
    """``"::1"`` of ``"[::1]:8000"``; empty if it is no host at all."""
    match = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([^:@/\s\[\]]+))(?::\d{1,5})?", host.strip().lower())
    return (match[1] or match[2]).rstrip(".") if match else ""


def hash_source(text: str) -> str:
    """How a content policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
