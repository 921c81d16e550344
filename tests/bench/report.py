"""Turns the lines of the measuring programs into Markdown tables and JSON.

    report.py RESULTS JSON [BASE]

RESULTS has a line per measurement: subject, measure, unit, value, with tabs between them. The
first table has the median of each measure. With the subject BASE there is a second one: for each
other subject, the median of its ratios to BASE in the same round.
"""

import json
import os
import platform
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

# In every other unit more is better.
LESS_IS_BETTER = {"ms", "MiB", "bytes per event"}


def short(value: float) -> str:
    """Three significant digits, with k and M."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:#.3g}".rstrip(".") + letter
    return f"{value:#.3g}".rstrip(".")


def table(subjects: list[str], rows: list[tuple[str, list[str]]]) -> None:
    print("|", " | ".join(["", *subjects]), "|")
    print("|---|" + "---:|" * len(subjects))
    for name, cells in rows:
        print("|", " | ".join([name, *cells]), "|")
    print()


def machine() -> str:
    models = {
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    }
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {', '.join(models)}, {platform.system()} {platform.release()}"


def main(results: str, output: str, base: str | None = None) -> None:
    subjects: dict[str, None] = {}
    measures: dict[str, str] = {}
    rounds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for line in Path(results).read_text().splitlines():
        subject, measure, unit, value = line.split("\t")
        subjects[subject] = None
        measures[measure] = unit
        rounds[measure, subject].append(float(value))

    def value_cell(measure: str, subject: str) -> str:
        values = rounds.get((measure, subject))
        return short(median(values)) if values else "–"

    def ratio_cell(measure: str, subject: str) -> str:
        values, base_values = rounds.get((measure, subject)), rounds.get((measure, base))
        if not values or not base_values:
            return "–"
        ratio = median(own / other for own, other in zip(values, base_values))
        return f"{1 / ratio if measures[measure] in LESS_IS_BETTER else ratio:.2g}"

    print(f"{machine()}\n")
    table(
        list(subjects),
        [(f"{m}, {unit}", [value_cell(m, s) for s in subjects]) for m, unit in measures.items()],
    )
    others = [subject for subject in subjects if subject != base]
    if base:
        print(f"Compared with {base} in the same round; above 1 is better than {base}:\n")
        table(others, [(m, [ratio_cell(m, s) for s in others]) for m in measures])

    document = {
        "machine": machine(),
        "measures": [
            {
                "measure": measure,
                "unit": unit,
                "subjects": {
                    subject: {"median": median(values), "rounds": values}
                    for subject in subjects
                    if (values := rounds.get((measure, subject)))
                },
            }
            for measure, unit in measures.items()
        ],
    }
    Path(output).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
