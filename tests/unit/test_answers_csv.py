"""The table of answers: what a program reads back, what a spreadsheet must not run, and the disk."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DataError
from core.inference.answers_file import COLUMNS, PhotoAnswer, csv_text, safe_cell, table_at

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "  =1", '=HYPERLINK("http://x";"y")']
STARTERS = "=+-@＝＋－＠"


def read_back(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def written(folder: Path, *answers: PhotoAnswer) -> list[list[str]]:
    with table_at(folder / "answers.csv") as add:
        for answer in answers:
            add(answer)
    return read_back(folder / "answers.csv")


def test_a_table_says_the_two_likeliest_classes_and_whether_it_knows_or_why_there_is_no_answer(tmp_path):
    rows = written(
        tmp_path,
        PhotoAnswer("cats/1.jpg", (("cat", 0.75), ("dog", 0.2), ("hen", 0.05))),
        PhotoAnswer("2.jpg", (("only", 1.0),), unknown=True),
        PhotoAnswer("3.jpg", error="It is damaged."),
    )
    assert rows == [
        list(COLUMNS),
        ["cats/1.jpg", "cat", "0.75", "dog", "0.2", "false", ""],
        ["2.jpg", "only", "1.0", "", "", "true", ""],
        ["3.jpg", "", "", "", "", "", "It is damaged."],
    ]


def test_excel_knows_it_as_utf_8(tmp_path):
    rows = written(tmp_path, PhotoAnswer("Zoë/猫.jpg", (("Hähne", 1.0),)))
    assert (tmp_path / "answers.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert rows[1][:2] == ["Zoë/猫.jpg", "Hähne"]


@pytest.mark.parametrize("name", FORMULAS)
def test_a_name_that_is_a_formula_begins_with_an_apostrophe(tmp_path, name):
    row = written(tmp_path, PhotoAnswer(name, ((name, 0.5), (name, 0.4)), error=name))[1]
    for cell in (row[0], row[1], row[3], row[6]):
        assert cell.startswith("'")
        assert cell.replace("'", "") == name


def test_names_with_quotes_commas_and_lines_come_back_as_they_were(tmp_path):
    name = 'a "b", c\nd\r\ne;f.jpg'
    assert written(tmp_path, PhotoAnswer(name, (("x", 1.0),)))[1][0] == name


def test_nul_and_bytes_that_are_no_text_are_shown_as_unreadable_letters(tmp_path):
    assert written(tmp_path, PhotoAnswer("a\0b\udcff\x1b.jpg", (("x", 1.0),)))[1][0] == "a�b��.jpg"


@given(st.text(alphabet=st.sampled_from([*STARTERS, *",;\t\r\n\0 '\"ab"]), max_size=12))
def test_no_cell_begins_with_a_formula_wherever_a_spreadsheet_cuts_the_line(text):
    cut = safe_cell(text)
    for separator in (";", "\t", "\r", "\n"):
        cut = cut.replace(separator, ",")
    assert not [part for part in cut.split(",") if part.strip().startswith(tuple(STARTERS))]


def test_a_file_that_is_there_is_never_written_over(tmp_path):
    (tmp_path / "mine.csv").write_text("precious")
    with pytest.raises(DataError) as raised, table_at(tmp_path / "mine.csv"):
        raise AssertionError("it began all the same")
    assert raised.value.key == "many.csv_exists"
    assert str(tmp_path / "mine.csv") in raised.value.message
    assert (tmp_path / "mine.csv").read_text() == "precious"


def test_a_file_that_appears_meanwhile_is_kept_too(tmp_path):
    with pytest.raises(DataError), table_at(tmp_path / "mine.csv"):
        (tmp_path / "mine.csv").write_text("precious")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]
    assert (tmp_path / "mine.csv").read_text() == "precious"


def test_what_is_broken_off_leaves_no_file(tmp_path):
    def broken_off() -> None:
        with table_at(tmp_path / "answers.csv") as add:
            add(PhotoAnswer("1.jpg", (("x", 1.0),)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError) as raised, table_at(tmp_path / "nowhere" / "answers.csv"):
        raise AssertionError("it began all the same")
    assert raised.value.key == "many.csv_no_folder"


def test_without_a_file_answers_go_nowhere(tmp_path):
    with table_at(None) as add:
        add(PhotoAnswer("1.jpg", (("x", 1.0),)))
    assert list(tmp_path.iterdir()) == []


def test_a_downloaded_table_is_the_written_one(tmp_path):
    answers = [PhotoAnswer("=1.jpg", (("x", 0.123456789),)), PhotoAnswer("2.jpg", error="no")]
    written(tmp_path, *answers)
    assert (tmp_path / "answers.csv").read_bytes().decode("utf-8-sig") == csv_text(answers)


def test_a_json_line_comes_back_as_the_same_answer():
    for answer in (PhotoAnswer("1.jpg", (("x", 0.5), ("y", 0.25))), PhotoAnswer("2.jpg", error="no")):
        assert PhotoAnswer.from_json(answer.to_json()) == answer
