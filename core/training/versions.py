"""Which versions made a run, so that it can be made again."""

import platform
from importlib.metadata import PackageNotFoundError, version

import core

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "safetensors")


def versions() -> dict[str, str]:
    """Graft's, Python's and each package's version that has a say in the numbers."""
    found = {"graft": core.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
