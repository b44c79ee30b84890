"""Nothing that a test does reaches the network, the user's workspace or their hub cache."""

import os
import socket
import tempfile
from typing import Any

import pytest

# Workers and servers that tests start inherit these; test processes side by side have a workspace each.
os.environ["GRAFT_WORKSPACE"] = tempfile.mkdtemp(prefix="graft-tests-")
os.environ.setdefault("GRAFT_STANDBY", "0")  # no process that a test didn't ask for
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    # More threads than cores wait for each other: half of the tests took twice as long.
    share = (os.cpu_count() or 2) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))
os.environ["TORCH_HOME"] = tempfile.mkdtemp(prefix="graft-no-hub-")
for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
    os.environ.pop(name, None)

_connect = socket.socket.connect


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch):
    """Sockets may connect to this machine alone."""

    def connect(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address[0]}")
        return _connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: the quick ones fail first, and Playwright's event loop stays in its thread for good."""
    items.sort(key=lambda item: "browser" in item.path.parts)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``-n 2`` two processes share the files, each file whole and in this order: browser tests last in both."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)
