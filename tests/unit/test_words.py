"""The catalogue: every text that code asks for is there, and none is there for nothing."""

import ast
import re
from pathlib import Path

import pytest

from core import words
from core.config import TrainConfig

PROJECT = Path(words.__file__).parent.parent.parent
SOURCES = [*PROJECT.glob("core/**/*.py"), *PROJECT.glob("pages/**/*.py"), PROJECT / "app.py"]
ERROR_NAMES = re.compile(r".*(Error|UnusablePhoto)$")


def asked_keys() -> tuple[set[str], set[str]]:
    """Keys that appear as text in the code, and the fixed beginnings of keys that are put together."""
    exact, prefixes = set(), set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                exact.add(node.value)
            elif isinstance(node, ast.JoinedStr) and node.values and isinstance(node.values[0], ast.Constant):
                prefixes.add(str(node.values[0].value))
    return exact, {prefix for prefix in prefixes if "." in prefix}


def calls(name: str) -> set[str]:
    """First arguments of calls of ``name`` that are plain texts."""
    found = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if called == name:
                    found.add(node.args[0].value)
    return found


def test_every_text_that_is_asked_for_is_in_the_catalogue():
    assert sorted(key for key in calls("say") if not words.has(key)) == []


@pytest.mark.parametrize("error", ["DataError", "ModelError", "ConfigError", "RunError", "CoreError"])
def test_every_error_has_a_message_and_a_hint(error):
    missing = [key for key in calls(error) if not (words.has(f"{key}.message") and words.has(f"{key}.hint"))]
    assert missing == []


def test_no_text_is_in_the_catalogue_for_nothing():
    exact, prefixes = asked_keys()
    # Reasons, findings and the like are asked for by the last part of their key.
    unused = [
        key
        for key in words.catalogue("en")
        if key not in exact
        and key.removesuffix(".message").removesuffix(".hint") not in exact
        and not any(key.startswith(prefix) for prefix in prefixes)
    ]
    assert unused == []


@pytest.mark.parametrize("language", words.languages())
def test_each_language_has_the_same_texts_with_the_same_places(language):
    def places(entry: object) -> set[str]:
        text = " ".join(entry.values()) if isinstance(entry, dict) else str(entry)
        return set(re.findall(r"{(\w+)", text)) - {"n"}

    ours, english = words.catalogue(language), words.catalogue("en")
    assert set(ours) == set(english)
    assert [key for key in english if places(ours[key]) != places(english[key])] == []


def test_one_photo_is_said_differently_from_two():
    assert "last stage adapts" in words.say("recipes.reason.last_stages", n=1)
    assert "last 2 stages adapt" in words.say("recipes.reason.last_stages", n=2)


def test_thousands_are_separated_and_missing_texts_are_our_mistake():
    assert "12,345" in words.say("terminal.progress", phase="x", done=12345, total=99999)
    with pytest.raises(words.MissingText):
        words.say("no.such.text")


def test_every_setting_of_a_run_is_explained_in_the_catalogue():
    from dataclasses import fields

    unexplained = [field.name for field in fields(TrainConfig) if not words.has(f"settings.{field.name}.label")]
    assert unexplained == []
