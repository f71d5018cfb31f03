# SPDX-License-Identifier: Apache-2.0
"""Medians of what scripts/bench measured.

usage: results_table.py [--json] FILE

FILE has lines PEER, WORKLOAD, N, UNIT, VALUE, NOTE, separated by tabs, in the order of measuring; one
line a round. Prints a table (each workload once, prollyfs beside its peer, with the ratio), or with
--json one object a line, {"peer","workload","n","value","unit","note"}, the value a median. The note
of a median says how many rounds, and the least and the most.
"""

import json
import statistics
import sys

OURS = "prollyfs"


def load(path):
    """{(peer, workload, n, unit): ([value, ...], note)}, in the order of first appearance."""
    figures = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            peer, workload, n, unit, value, note = line.rstrip("\n").split("\t")
            values, _ = figures.setdefault((peer, workload, int(n), unit), ([], note))
            values.append(float(value))
    return figures


def spread(values, note):
    rounds = f"{len(values)} rounds, {min(values):.4g} to {max(values):.4g}" if len(values) > 1 else ""
    return "; ".join(text for text in (note, rounds) if text)


def number(value):
    if value is None:
        return ""
    return f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"


def print_json(figures):
    for (peer, workload, n, unit), (values, note) in figures.items():
        print(json.dumps({"peer": peer, "workload": workload, "n": n,
                          "value": round(statistics.median(values), 6), "unit": unit,
                          "note": spread(values, note)}, separators=(",", ":")))


def print_table(figures):
    rows = [("workload", "n", "prollyfs", "peer", "", "ratio", "unit", "note")]
    for (peer, workload, n, unit), (values, note) in figures.items():
        if peer != OURS and (OURS, workload, n, unit) in figures:
            continue
        ours = statistics.median(values) if peer == OURS else None
        others = [(p, statistics.median(v)) for (p, w, m, u), (v, _) in figures.items()
                  if (w, m, u) == (workload, n, unit) and p != OURS]
        name, theirs = others[0] if others else ("", None)
        rows.append((workload, f"{n:,}", number(ours), number(theirs), name,
                     f"{ours / theirs:.2f}" if ours and theirs else "", unit,
                     spread(values, note)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [row[i].ljust(widths[i]) if i in (0, 4, 6, 7) else row[i].rjust(widths[i])
                 for i in range(len(row))]
        print("  ".join(cells).rstrip())


def main():
    figures = load(sys.argv[-1])
    if "--json" in sys.argv[1:-1]:
        print_json(figures)
    else:
        print_table(figures)


main()
