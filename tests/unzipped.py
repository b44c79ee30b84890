"""What tests ask of the unpacker, in a few words."""

import json
from pathlib import Path

import pytest

from core.data.archive import Limits, unpack
from core.errors import DataError
from tests.hostile import jpeg

SMALL = Limits(free_bytes=0)


def unpacked(tmp_path: Path, data: bytes, limits: Limits = SMALL) -> tuple[dict[str, bytes], dict[str, str]]:
    """What came out, by path, and why the rest didn't."""
    (tmp_path / "photos.zip").write_bytes(data)
    into = tmp_path / "into"
    left_out = unpack(tmp_path / "photos.zip", into, limits=limits)
    assert all(entry.text for entry in left_out)
    files = {path.relative_to(into).as_posix(): path.read_bytes() for path in into.rglob("*") if path.is_file()}
    return files, {entry.path: entry.reason for entry in left_out}


def error_for(tmp_path: Path, data: bytes, limits: Limits = SMALL) -> str:
    """The error's key; nothing may be left behind."""
    (tmp_path / "photos.zip").write_bytes(data)
    with pytest.raises(DataError) as caught:
        unpack(tmp_path / "photos.zip", tmp_path / "into", limits=limits)
    assert "photos.zip" in caught.value.message
    assert caught.value.hint
    json.dumps(caught.value.to_json())
    assert not (tmp_path / "into").exists() or list((tmp_path / "into").iterdir()) == []
    return caught.value.key


CAT, DOG = jpeg(1), jpeg(2)
