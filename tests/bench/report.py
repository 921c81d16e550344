"""Turns the lines of the measuring programs into Markdown tables and JSON.

    report.py RESULTS JSON [BASE]

RESULTS has a line per measurement: subject, measure, unit, value, with tabs between them. The
tables have the median of each measure, and where there is a subject BASE, in parentheses the
median of the ratios to BASE in the same round: above 1 is better than BASE.
"""

import json
import os
import platform
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

# In every other unit more is better.
LESS_IS_BETTER = {"ms", "µs", "ns", "MiB", "bytes per event"}
# More subjects than this take another table.
COLUMNS = 8


def short(value: float) -> str:
    """Three significant digits, with k and M."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if value >= 0.9995 * size:
            return f"{value / size:#.3g}".rstrip(".") + letter
    return f"{value:#.3g}".rstrip(".")


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

    def ratio(measure: str, subject: str) -> float | None:
        own, others = rounds.get((measure, subject)), rounds.get((measure, base or ""))
        if not own or not others or subject == base:
            return None
        middle = median(one / other for one, other in zip(own, others))
        return 1 / middle if measures[measure] in LESS_IS_BETTER else middle

    def cell(measure: str, subject: str) -> str:
        values = rounds.get((measure, subject))
        if not values:
            return "–"
        compared = ratio(measure, subject)
        return short(median(values)) + (f" ({compared:.2g})" if compared is not None else "")

    def alone(measure: str) -> bool:
        """Whether only the base was measured: such rows stand in the first table."""
        return not any((measure, subject) in rounds for subject in subjects if subject != base)

    def table(columns: list[str], first: bool) -> None:
        print("|", " | ".join(["", *columns]), "|")
        print("|---|" + "---:|" * len(columns))
        for measure, unit in measures.items():
            shown = any((measure, column) in rounds for column in columns if column != base)
            if shown or first and alone(measure):
                print("|", " | ".join([f"{measure}, {unit}", *(cell(measure, c) for c in columns)]), "|")
        print()

    print(f"{machine()}; medians of {max(map(len, rounds.values()))} rounds\n")
    others = [subject for subject in subjects if subject != base]
    if base in subjects:
        print(f"In parentheses: compared with {base} in the same round, above 1 is better.\n")
    first = [base] if base in subjects else []
    # As few tables as needed, of about the same width.
    count = max(1, -(-len(others) // COLUMNS))
    for number in range(count):
        at, to = (len(others) * n // count for n in (number, number + 1))
        table([*first, *others[at:to]], first=number == 0)

    document = {
        "machine": machine(),
        "measures": [
            {
                "measure": measure,
                "unit": unit,
                "subjects": {
                    subject: {
                        "median": median(values),
                        "ratio": ratio(measure, subject),
                        "rounds": values,
                    }
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
