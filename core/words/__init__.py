"""The catalogue: every text a person sees, in one place, so that a second language is a second folder.

A key is ``<file>.<section>.<name>``: ``start.hero.title`` is ``title`` under ``[hero]`` in ``en/start.toml``.
An entry is a text with ``{named}`` places, or a table ``{one = "…", other = "…"}`` chosen by the value ``n``.
"""

import tomllib
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path

HOME = Path(__file__).parent
DEFAULT_LANGUAGE = "en"
_language: ContextVar[str] = ContextVar("graft_language", default=DEFAULT_LANGUAGE)


class MissingText(KeyError):
    """A key that the catalogue does not hold: a programmer's mistake, never a user's."""


def languages() -> tuple[str, ...]:
    """The languages that have a folder here, by their code."""
    return tuple(sorted(folder.name for folder in HOME.iterdir() if folder.is_dir() and any(folder.glob("*.toml"))))


def use(language: str) -> None:
    """Speak ``language`` from now on in this context (a page's run, a worker, a test)."""
    if language not in languages():
        raise MissingText(language)
    _language.set(language)


def say(key: str, /, **values: object) -> str:
    """The text behind ``key``, its places filled with ``values``; numbers in ``n`` choose singular or plural."""
    entry = catalogue(_language.get()).get(key)
    if entry is None:
        entry = catalogue(DEFAULT_LANGUAGE).get(key)
    if entry is None:
        raise MissingText(key)
    if isinstance(entry, Mapping):
        entry = entry["one" if values.get("n") == 1 else "other"]
    return entry.format_map({name: _spoken(value) for name, value in values.items()})


def has(key: str) -> bool:
    """Whether the catalogue holds ``key`` at all."""
    return key in catalogue(DEFAULT_LANGUAGE)


@cache
def catalogue(language: str) -> dict[str, str | dict[str, str]]:
    """Every entry of one language, flat: ``{"start.hero.title": "…"}``."""
    flat: dict[str, str | dict[str, str]] = {}
    for file in sorted((HOME / language).glob("*.toml")):
        _flatten(file.stem, tomllib.loads(file.read_text("utf-8")), flat)
    return flat


def _flatten(prefix: str, entry: object, flat: dict[str, str | dict[str, str]]) -> None:
    if isinstance(entry, str) or (isinstance(entry, dict) and set(entry) == {"one", "other"}):
        flat[prefix] = entry
    elif isinstance(entry, dict):
        for name, child in entry.items():
            _flatten(f"{prefix}.{name}", child, flat)
    else:
        raise MissingText(f"{prefix} is neither a text nor a table")


def _spoken(value: object) -> object:
    """Whole numbers from 1,000 get thousands separators; everything else is left to the text's own format."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1000:
        return f"{value:,}"
    return value
