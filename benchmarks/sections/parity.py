"""Exported models beside the app."""

from benchmarks.sections import met, table, where
from core.models import registry

FORMS = {"safetensors": "in Graft again", "onnx": "ONNX by predict.py", "program": "torch.export program"}


def parity(found: dict | None) -> str:
    if found is None:
        return ""
    rows = [_row(row) for row in found["rows"]]
    head = (
        "| family | backbone | weights | spread | "
        + " | ".join(f"{title}: same class | largest difference" for title in FORMS.values())
        + " |"
    )
    whole = [row for row in found["rows"] if "error" not in row]
    families = len({row.family for row in registry.backbones()})
    good = sum(all(row[form]["ok"] for form in FORMS) for row in whole)
    largest = max((row[form]["largest_difference"] for row in whole for form in FORMS), default=0.0)
    limit = found["limit"]
    return f"""## Exported models

The smallest member of each family, exported and compared with the app: {found["photos"]} real photos (ten of them turned by EXIF, CMYK,
palette with transparency, 16 bits, or very wide), small copies of eight and seven drawn pictures. Spread: the standard
deviation of a class's probability over the photos; drawn weights have BatchNorm measured on the photos. {where(found)}

{table(head, rows)}

Same class on every photo, probabilities at most {limit:g} apart: {good} of the {len(found["rows"])} families measured; there are
{families} (goal: all, {met(good == families)}). The largest difference of all: {largest:.1e}.

`{found["command"]}`
"""


def _row(row: dict) -> str:
    weights = "pretrained" if row["pretrained"] else "drawn"
    cells = [row["family"], row["backbone"], weights, f"{row['spread']:.2f}"]
    for form in FORMS:
        if "error" in row:
            cells += ["**failed**", row["error"]]
            break
        told = row[form]
        cells += [f"{told['same_top1']} of {told['photos']}", f"{told['largest_difference']:.1e}"]
    cells += [""] * (4 + 2 * len(FORMS) - len(cells))
    return f"| {' | '.join(cells)} |"
