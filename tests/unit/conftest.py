"""A few drawn photos, and a cache that the tests of a file share: that kept rows are found again is part of it."""

from pathlib import Path

import pytest

from core.data.report import Split
from core.data.scan import scan
from core.data.split import split
from tests.photos import make_folder


@pytest.fixture(scope="module")
def divided(tmp_path_factory) -> Split:
    return split(scan(make_folder(tmp_path_factory.mktemp("photos"), per_class=5)))


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")
