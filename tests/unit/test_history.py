"""The history of a data set: every version can be had again, and nothing that was written is ever written over."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.history import Change, History, append, next_step, read_history


def step(history: History, *paths: str, label: str = "cat"):
    return next_step(
        history, "move", values={"n": len(paths), "label": label}, changes=(Change(paths, "label", label),)
    )


def longer(history: History, made) -> History:
    return History((*history.steps, made))


def back(history: History, version: int | None, kind: str) -> History:
    assert version is not None
    return longer(history, next_step(history, kind, same_as=version))


def labels(history: History) -> dict[str, str | None]:
    return dict(history.state().said["label"])


def test_a_later_step_wins_over_an_earlier_one():
    one = longer(History(), step(History(), "a", "b"))
    two = longer(one, step(one, "b", label="dog"))
    assert labels(two) == {"a": "cat", "b": "dog"}
    assert dict(two.state(1).said["label"]) == {"a": "cat", "b": "cat"}
    assert dict(two.state(0).said["label"]) == {}


def test_undo_goes_back_step_by_step_and_redo_forth_again():
    history = History()
    for path in "abc":
        history = longer(history, step(history, path))
    history = back(history, history.undo, "undo")
    assert set(labels(history)) == {"a", "b"}
    history = back(history, history.undo, "undo")
    assert set(labels(history)) == {"a"}
    history = back(history, history.redo, "redo")
    assert set(labels(history)) == {"a", "b"}
    history = back(history, history.redo, "redo")
    assert set(labels(history)) == {"a", "b", "c"}
    assert history.redo is None
    assert len(history.steps) == 7


def test_after_something_new_nothing_can_be_done_again():
    history = longer(History(), step(History(), "a"))
    history = back(history, history.undo, "undo")
    history = longer(history, step(history, "b"))
    assert history.redo is None
    assert set(labels(history)) == {"b"}
    assert history.undo == 0


def test_going_back_keeps_what_came_after_it_within_reach():
    history = History()
    for path in "abc":
        history = longer(history, step(history, path))
    history = back(history, 1, "go_back")
    assert set(labels(history)) == {"a"}
    assert set(dict(history.state(3).said["label"])) == {"a", "b", "c"}
    history = back(history, 3, "go_back")
    assert set(labels(history)) == {"a", "b", "c"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["do", "undo", "redo"]), max_size=25))
def test_undo_and_redo_do_as_a_plain_stack_of_states_does(deeds):
    history, done, undone, count = History(), [], [], 0
    for deed in deeds:
        if deed == "do":
            count += 1
            history = longer(history, step(history, f"photo {count}"))
            done.append(f"photo {count}")
            undone.clear()
        elif deed == "undo" and done:
            history = back(history, history.undo, "undo")
            undone.append(done.pop())
        elif deed == "redo" and undone:
            history = back(history, history.redo, "redo")
            done.append(undone.pop())
        assert (history.undo is None, history.redo is None) == (not done, not undone)
        assert list(labels(history)) == done


def test_what_was_written_is_read_again(tmp_path):
    file = tmp_path / "history.jsonl"
    history = History()
    for path in ("a/ä.jpg", 'b/"quoted".jpg'):
        made = step(history, path)
        append(file, made)
        history = longer(history, made)
    assert read_history(file) == history
    assert [json.loads(line)["number"] for line in file.read_text("utf-8").splitlines()] == [1, 2]


@pytest.mark.parametrize("kept", range(1, 40, 3))
def test_a_torn_last_line_is_as_if_never_written_and_the_next_step_is_whole(tmp_path, kept):
    file = tmp_path / "history.jsonl"
    first = step(History(), "a")
    append(file, first)
    before = file.read_bytes()
    append(file, step(History((first,)), "b"))
    file.write_bytes(before + file.read_bytes()[len(before) :][:kept])
    assert read_history(file) == History((first,))
    second = step(History((first,)), "c")
    append(file, second)
    assert read_history(file) == History((first, second))


def test_a_line_that_points_forward_ends_the_history(tmp_path):
    file = tmp_path / "history.jsonl"
    file.write_text('{"number":1,"at":0,"kind":"undo","values":{},"parent":0,"same_as":7}\n')
    assert read_history(file) == History()
