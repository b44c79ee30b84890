"""Linear algebra on one processor core: beside programs that use all of them, more threads wait for each other."""

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module


@contextmanager
def one_thread() -> Generator[None]:
    """On a busy machine with 2 cores, 1,000 photos took 27 s with two threads and 0.6 with one."""
    # The limit holds for libraries that are loaded, so they are loaded first.
    for library in ("scipy.linalg", "sklearn.linear_model"):
        import_module(library)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield
