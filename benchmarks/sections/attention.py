"""Where the heat lies: on the photo of the class that was asked about, and on the patch that decided."""

from benchmarks.sections import table, where


def attention(found: dict | None) -> str:
    if found is None:
        return ""
    rows = [
        f"| {row['data']} | {row['backbone']} | {row['classes']} | {row['photos']} "
        f"| {row['share']['graft']:.2f} ± {2 * row['standard_error']:.2f} "
        f"| {row['share']['activations']:.2f} | {row['chance']:.2f} |"
        for row in found["rows"]
    ]
    head = "| photos | backbone | classes | photos to draw from | share of the heat | of the activations | chance |"
    small = found["patches"]
    hits = small["strongest_is_patch"]
    return f"""## Where the network looked

Four test photos of different classes (of two classes, two), each recognised with 80 % or more, are put into one picture, {found["rows"][0]["mosaics"]} times a set:
the share of the heat for one class that lies on its photo, ± two standard errors. Heat that knows nothing of the class has the share that chance has;
*activations* is how strongly the last maps react, whatever the class. {where(found)}

{table(head, rows)}

A small ViT taught to name the colour of a patch recognised {small["recognised"]} of {small["trials"]} photos. Its strongest place was the patch in {hits["all"]} of
them by the attention of all blocks, as Graft shows it, in {hits["last"]} by the last block alone; chance is a sixteenth.

`{found["command"]}`
"""
