"""Events: what is written is what is read, and nothing that JSON can't say."""

import pytest

from core.events import KINDS, EpochEnded, Failed, Progress, from_line, to_line


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
def test_every_kind_of_event_comes_back_as_it_was_written(kind):
    event = kind(at=12.5)
    assert from_line(to_line(event)) == event


def test_a_line_holds_names_in_any_script():
    event = Failed(detail="文件 🐝 “é”")
    assert "文件" in to_line(event)
    assert from_line(to_line(event)) == event


def test_nan_and_infinity_are_refused_at_writing():
    with pytest.raises(ValueError, match="JSON compliant"):
        to_line(EpochEnded(train_loss=float("nan")))
    with pytest.raises(ValueError, match="JSON compliant"):
        to_line(Progress(per_second=float("inf")))


def test_an_event_of_a_newer_graft_is_passed_over_and_its_new_fields_too():
    assert from_line('{"kind": "SomethingNew", "at": 1}') is None
    assert from_line('{"kind": "Progress", "done": 3, "colour": "red"}') == Progress(done=3)
