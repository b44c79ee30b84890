"""The rule by which the user keeps photos together, chosen with a live preview of the groups it makes."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import streamlit as st

from core.data import grouping, mending
from core.data.datasets import Dataset
from core.data.facts import Facts
from core.data.grouping import SEPARATORS, Columns, Rule
from core.data.report import DatasetReport
from core.data.store import columns_of, facts_of
from core.words import say
from pages.parts import panels, steps

PLACE = "rule"  # where a new rule is told, with its undo
NONE = "none"
EXAMPLES = 4
TOO_LARGE = 0.3  # of all photos in one group: the shares of the parts can't be met any more
USUAL_MINUTES = 10


@dataclass(frozen=True)
class Source:
    """What rules can be made from."""

    report: DatasetReport
    facts: Mapping[str, Facts]
    columns: Columns

    @property
    def timed(self) -> int:
        """Photos whose camera wrote when they were taken."""
        known = (self.facts.get(photo.sha256) for photo in self.report.photos)
        return sum(facts is not None and facts.taken is not None for facts in known)

    @property
    def in_folders(self) -> bool:
        """Whether there are folders inside the class folders."""
        homes = {(photo.label, photo.part) for photo in self.report.photos}
        return len({photo.path.rpartition("/")[0] for photo in self.report.photos}) > len(homes)

    def kinds(self) -> list[str]:
        """The kinds of rules that could say something here."""
        possible = {NONE: True, "name": True, "folder": self.in_folders, "column": bool(self.columns)}
        return [kind for kind, known in {**possible, "time": self.timed > 0}.items() if known]


def choose(chosen: Dataset, report: DatasetReport) -> None:
    """A kind of rule, its details, what they would come to, and one button that makes it so."""
    source = Source(report, facts_of(chosen), columns_of(chosen))
    current = mending.history(chosen).state().rule
    token = blake2b(json.dumps(dict(current), sort_keys=True).encode(), digest_size=4).hexdigest()
    kinds = source.kinds()
    used = str(current.get("kind", NONE))
    kind = st.segmented_control(
        say("division.rule"), kinds if used in kinds else [*kinds, used], default=used, required=True,
        format_func=lambda one: say(f"division.kind.{one}"), key=f"rule_kind_{token}",
    )  # fmt: skip
    rule = _details(str(kind or NONE), source, current, token)
    with st.container(key="rule_preview"):
        if rule:
            _preview(rule, source)
        elif used == NONE:
            st.caption(say("division.none_means"))
    if rule != current:
        st.button(
            say("division.use" if rule else "division.use_none"), key="use_rule", icon=":material/join:",
            on_click=steps.do, args=(chosen, PLACE, lambda: mending.set_rule(chosen, rule)),
        )  # fmt: skip


def _details(kind: str, source: Source, current: Rule, token: str) -> Rule:
    """The rule as the widgets have it; it begins with the one in use, or with a guess from the names."""
    if kind == NONE:
        return {}
    known = current if current.get("kind") == kind else {}
    match kind:
        case "name":
            return _of_name(source, known, token)
        case "column":
            names = sorted(source.columns)
            at = names.index(known["column"]) if known.get("column") in names else 0
            column = st.selectbox(say("division.column"), names, index=at, key=f"rule_column_{token}")
            return {"kind": "column", "column": column}
        case "time":
            minutes = st.number_input(
                say("division.minutes"), 1, grouping.MOST_MINUTES, int(known.get("minutes", USUAL_MINUTES)),
                key=f"rule_minutes_{token}", width=200,
            )  # fmt: skip
            return {"kind": "time", "minutes": int(minutes)}
        case _:
            return {"kind": "folder"}


def _of_name(source: Source, known: Rule, token: str) -> Rule:
    separator, parts = known.get("separator"), known.get("parts")
    if separator is None:
        separator, parts = guess([photo.path for photo in source.report.photos])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.segmented_control(
            say("division.separator"), SEPARATORS, default=separator, required=True,
            format_func=lambda one: say(f"division.sign.{SEPARATORS.index(one)}"), key=f"rule_separator_{token}",
        )  # fmt: skip
        pieces = st.number_input(
            say("division.pieces"), 1, grouping.MOST_PARTS, parts, key=f"rule_pieces_{token}", width=200
        )
    return {"kind": "name", "separator": str(chosen), "parts": int(pieces)}


def guess(paths: Sequence[str]) -> tuple[str, int]:
    """The sign that most names hold, and all pieces but the last one, which mostly counts."""
    pieces = {
        sign: Counter(len(grouping.part_of_name(path, sign, 99).split(sign)) for path in paths) for sign in SEPARATORS
    }
    divided = {sign: counts.total() - counts[1] for sign, counts in pieces.items()}
    sign = max(SEPARATORS, key=lambda one: divided[one])
    most = pieces[sign].most_common(1)[0][0] if paths else 1
    return sign, min(max(1, most - 1), grouping.MOST_PARTS)


def _preview(rule: Rule, source: Source) -> None:
    """Some names with what becomes of them, how many groups there would be, and what is wrong with that."""
    photos = source.report.photos
    made = grouping.groups(photos, rule, facts=source.facts, columns=source.columns)
    if rule["kind"] == "name":
        lines = [_becomes(name, rule) for name in _examples([photo.path for photo in photos], rule)]
        st.markdown("\n".join(f"- {line}" for line in lines))
    if rule["kind"] == "time":
        st.caption(say("division.timed", n=source.timed, of=len(photos)))
    if not made:
        st.caption(say("division.no_groups"))
        return
    held, largest = sum(map(len, made)), max(map(len, made))
    st.markdown(say("division.groups", n=len(made), photos=held, of=len(photos), largest=largest))
    if largest > TOO_LARGE * len(photos):
        st.warning(say("division.too_large", largest=largest, of=len(photos)), icon=":material/warning:")


def _becomes(name: str, rule: Rule) -> str:
    """``leaf_12_a.jpg → leaf_12``."""
    return f"{panels.plain(name)} → **{panels.plain(grouping.part_of_name(name, rule['separator'], rule['parts']))}**"


def _examples(paths: Sequence[str], rule: Rule) -> list[str]:
    """A few file names of different groups, two of the first one."""
    of_group: dict[str, list[str]] = {}
    for name in dict.fromkeys(path.rpartition("/")[2] for path in paths):
        of_group.setdefault(grouping.part_of_name(name, rule["separator"], rule["parts"]), []).append(name)
    groups = sorted(of_group.values(), key=lambda group: len(group) == 1)
    first = groups[0][:2] if groups else []
    return [*first, *(group[0] for group in groups[1 : EXAMPLES - len(first) + 1])]
