"""``python -m core serve``: loads a model, listens, says where, and answers until Ctrl-C."""

import argparse
import os
import re
import socket
import sys
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI

from core.errors import ConfigError
from core.inference.predictor import Predictor
from core.runs.store import RunDirectory
from core.serve.about import about
from core.serve.guard import Access
from core.serve.rest import service
from core.words import say

BACKLOG = 128
MOST_PORT = 65_535
MAX_CONNECTIONS = 256  # open at once, whether they ask anything or not
KEEP_ALIVE_SECONDS = 10
GRACE_SECONDS = 10  # for requests that are being answered when Ctrl-C comes


def serve(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Tell the address once connections are taken, then answer until the user ends it."""
    access = _access(options)
    with _listening(access.host, options.port) as listener:  # before the model is loaded: a taken port is told at once
        run = RunDirectory(options.run)
        predictor = Predictor.load(run)
        told = about(run, predictor)
        address = f"http://{_shown(access.host)}:{listener.getsockname()[1]}"
        if not access.is_loopback:
            print(say("serve.open" if access.token is None else "serve.locked", address=address), file=sys.stderr)
        print(say("serve.ready", address=address), file=sys.stderr, flush=True)
        yield {"serving": address, "run": str(options.run), "classes": told["classes"], "token": bool(access.token)}
        _run(service(predictor, told, access=access), listener)
    print(say("serve.ended"), file=sys.stderr)


def _access(options: argparse.Namespace) -> Access:
    token = options.token or os.environ.get("GRAFT_TOKEN") or None
    if token is not None and not re.fullmatch(r"[\x21-\x7e]{8,}", token):
        raise ConfigError("serve.bad_token")
    for origin in options.cors:
        if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
            raise ConfigError("serve.bad_origin", origin=origin)
    names = tuple(name.lower() for name in (*options.name, socket.gethostname(), f"{socket.gethostname()}.local"))
    loopback = options.host in ("", "localhost")
    return Access("127.0.0.1" if loopback else options.host, names, token, tuple(options.cors))


def _listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections; port 0 takes any free one."""
    if not 0 <= port <= MOST_PORT:
        raise ConfigError("serve.no_port", host=host, port=str(port), problem=say("serve.port_range", most=MOST_PORT))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        number = error.errno or 0
        problem = os.strerror(number) if number > 0 else error.strerror  # negative ones are the name service's
        raise ConfigError("serve.no_port", host=host, port=str(port), problem=problem) from error


def _run(app: FastAPI, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,  # its own would write to stdout, which is for programs
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:  # told again by uvicorn when it has ended well
        return


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
