"""The engine by itself: epochs at every freeze depth, the frozen forward pass, the GPU."""

from statistics import median

from benchmarks.sections import met, table, where

DEPTH_GOALS = {4: 20.0, 3: 3.0, 0: 0.95}
DEPTH_TITLES = {4: "all 4: the head alone", 3: "3: the last stage and the head", 0: "none: everything"}
GPU_SHARE, HEAD_EPOCHS = 0.85, 50
FORWARD_TIMES_HALF, FORWARD_TIMES_FULL = 3.0, 1.5
HALF_INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}


def depths(found: dict | None) -> str:
    if found is None:
        return ""
    rows: list[str] = []
    for row in found["rows"]:
        depth = row["frozen_stages"]
        middle = {side: median(values) for side, values in row["seconds"].items()}
        ratio = middle["plain"] / middle["graft"]
        wanted = DEPTH_GOALS.get(depth)
        goal = "" if wanted is None else f"{wanted:g}: {met(ratio >= wanted)}"
        rows.append(
            f"| {DEPTH_TITLES.get(depth, depth)} | {middle['graft']:.3f} | {middle['plain']:.2f} | {ratio:.1f} "
            f"| {middle['plain_channels_last']:.2f} | {middle['plain_channels_last'] / middle['graft']:.1f} | {goal} |"
        )
    repetitions = len(found["rows"][0]["seconds"]["graft"])
    head = "| frozen stages | Graft, s | plain loop, s | times faster | plain, channels last, s | times faster | goal |"
    weights = "pretrained weights" if found["pretrained"] else "weights from noise, which take as long"
    return f"""## An epoch at every freeze depth

ResNet-18, {weights}, {found["photos"]} photos in batches of {found["batch"]}, mirrored at random, float32, torch
{found["torch"]}, {found["threads"]} threads; medians of {repetitions}, taking turns in one process. Graft's side is the second
epoch that the public `fit` tells. The plain loop is eager torch on the same photos, decoded already, and computes the
frozen part anew in every epoch; the goal counts against it as torch lays it out. Graft's first pass over the photos, which
keeps the activations, comes before and costs about one forward pass of the frozen part a view. {where(found)}

{table(head, rows)}

`{found["command"]}`
"""


def forward(found: dict | None) -> str:
    if found is None:
        return ""
    has_half = bool(HALF_INSTRUCTIONS & set(found["instructions"]))
    rows: list[str] = []
    for row in found["rows"]:
        speed = {side: median(values) for side, values in row["photos_per_second"].items()}
        full, half = speed["float32"] / speed["plain"], speed["graft"] / speed["plain"]
        goals = [f"float32 {FORWARD_TIMES_FULL:g}: {met(full >= FORWARD_TIMES_FULL)}"]
        if has_half:
            goals.append(f"as used {FORWARD_TIMES_HALF:g}: {met(half >= FORWARD_TIMES_HALF)}")
        rows.append(
            f"| {row['backbone']} ({row['batch']}) | {speed['plain']:.1f} | {speed['float32']:.1f} | {full:.1f} "
            f"| {speed['graft']:.1f} | {half:.1f} | {sixteen_bits(row)} | {'; '.join(goals)} |"
        )
    head = "| backbone (photos a batch) | plain | Graft, float32 | times | Graft, as used | times | 16 bits | goal |"
    repetitions = len(found["rows"][0]["photos_per_second"]["plain"])
    noise = [row["backbone"] for row in found["rows"] if not row["pretrained"]]
    weights = f" Weights of {', '.join(noise)} from noise, which take as long." if noise else ""
    return f"""## The frozen forward pass

Photos a second through the whole frozen body, against the same network in plain eager float32; medians of {repetitions}
taking turns in one process, torch {found["torch"]}, {found["threads"]} threads. The processor has
{", ".join(found["instructions"]) or "no wide instructions that it tells of"}. The goal of {FORWARD_TIMES_FULL:g} is for
processors without 16-bit instructions, which the float32 column stands for.{weights} {where(found)}

{table(head, rows)}

`{found["command"]}`
"""


def sixteen_bits(row: dict) -> str:
    exact = row["exact_stages"]
    if exact is None or exact >= row["stages"]:
        return "no"
    return "all stages" if exact == 0 else f"from stage {exact + 1}"


def gpu(found: dict | None) -> str:
    if found is None:
        return """## On a GPU

No GPU at hand: nothing was measured. Where there is one, `python -m benchmarks.gpu` does.
"""
    rows = [
        f"| fine-tuning ResNet-50 through Graft's loop, photos a second | {found['loop_photos_per_second']:.0f} | |",
        f"| the same step on photos already on the device | {found['bare_photos_per_second']:.0f} | |",
        f"| share | {found['share']:.0%} | {GPU_SHARE:.0%}: {met(found['share'] >= GPU_SHARE)} |",
        f"| the head on kept features, epochs a second | {found['head_epochs_per_second']:.0f} "
        f"| {HEAD_EPOCHS}: {met(found['head_epochs_per_second'] >= HEAD_EPOCHS)} |",
        f"| GPU memory at most | {found['peak_gpu_megabytes']:.0f} MB | |",
    ]
    return f"""## On a GPU

{found["gpu"]}, torch {found["torch"]}, {found["photos"]:,} photos of 224 × 224, batches of {found["batch"]}. {where(found)}

{table("| | measured | goal |", rows)}

`{found["command"]}`
"""
