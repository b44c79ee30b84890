"""Where each second of a preset goes."""

from benchmarks.sections import table, where

# What only passes events on from the functions that do the work.
CARRIERS = (
    "core/__main__.py:",
    "core/jobs.py:_",
    "core/jobs.py:train_job",
    "core/runs/worker.py:",
    "core/training/fit.py:fit",
)
SHOWN = 10


def profile(found: dict | None) -> str:
    if found is None:
        return ""
    parts = [
        f"""## Where each second goes

Whole processes from a cold start. *Start, imports, scan* is what no phase of the run accounts for. The largest
avoidable piece was torch's compiler with its algebra system, which Graft never uses: 525 modules, about 1.9 s by `-X importtime`
on a busy machine. A run loads none of it any more (tests/unit/test_eager.py). {where(found)}""",
        summary(found["presets"]),
        imports(found["imports"]),
        *(functions(name, measured) for name, measured in found["presets"].items()),
        f"`{found['command']}`\n",
    ]
    return "\n\n".join(parts)


def summary(presets: dict) -> str:
    phases = list(dict.fromkeys(phase for measured in presets.values() for phase in measured["phases"]))
    head = f"| preset | photos | seconds | {' | '.join(phases)} | start, imports, scan |"
    rows: list[str] = []
    for name, measured in presets.items():
        spent = " | ".join(f"{measured['phases'].get(phase, 0):.2f}" for phase in phases)
        rows.append(
            f"| {name} | {measured['photos']} | {measured['seconds']:.1f} | {spent} | {measured['outside_phases']:.2f} |"
        )
    return table(head, rows)


def imports(found: dict) -> str:
    own = ", ".join(f"{name} {seconds:.2f}" for name, seconds in found["own_seconds"].items())
    return (
        f"Importing all that a run needs takes {found['seconds']:.2f} s, of which {found['python_seconds']:.2f} s are bare "
        f"Python; by package, measured one by one, which adds to each: {own}."
    )


def functions(preset: str, measured: dict) -> str:
    """Graft's own functions by all they call, then anybody's by what they do themselves."""
    whole = measured["profiled_seconds"]
    ours = [row for row in measured["ours"] if not row["name"].startswith(CARRIERS)][:SHOWN]
    called = [f"| `{row['name']}` | {row['calls']} | {row['cumulative'] / whole:.0%} |" for row in ours]
    own = [f"| `{row['name']}` | {row['calls']} | {row['own'] / whole:.0%} |" for row in measured["own"][:SHOWN]]
    return "\n\n".join((
        f"**{preset}**, under cProfile, shares of {whole:.1f} s of the main thread; with all that is called:",
        table("| function | calls | share |", called),
        "and by itself:",
        table("| function | calls | share |", own),
    ))  # fmt: skip
