# SPDX-License-Identifier: Apache-2.0
"""Medians of what scripts/bench measured.

usage: results_table.py [--json] FILE

FILE has lines PEER, WORKLOAD, N, UNIT, VALUE, NOTE, separated by tabs, in the order of measuring; one
line a round. Prints a table (each workload once; beside the figure of each peer, in brackets, the
multiple of it that prollyfs has), or with
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
    if not values:
        return note
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


def columns(figures):
    """The peers, prollyfs and its variants first, else in the order of first appearance."""
    peers = list(dict.fromkeys(peer for peer, _, _, _ in figures))
    return sorted(peers, key=lambda peer: (not peer.startswith(OURS), peer != OURS))


def cell(median, ours, peer):
    if median is None:
        return ""
    if peer.startswith(OURS) or ours is None or not median:
        return number(median)
    return f"{number(median)} ({ours / median:.2f})"


def print_table(figures):
    peers = columns(figures)
    workloads = dict.fromkeys((workload, n, unit) for _, workload, n, unit in figures)
    rows = [("workload", "n", "unit", *peers, "note")]
    for workload, n, unit in workloads:
        medians, notes = {}, []
        for peer in peers:
            values, note = figures.get((peer, workload, n, unit), ([], ""))
            medians[peer] = statistics.median(values) if values else None
            if peer == OURS:
                notes.append(spread(values, note))
        rows.append((workload, f"{n:,}", unit,
                     *(cell(medians[peer], medians.get(OURS), peer) for peer in peers),
                     "; ".join(notes)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [row[i].ljust(widths[i]) if i in (0, 2, len(row) - 1) else row[i].rjust(widths[i])
                 for i in range(len(row))]
        print("  ".join(cells).rstrip())


def main():
    figures = load(sys.argv[-1])
    if "--json" in sys.argv[1:-1]:
        print_json(figures)
    else:
        print_table(figures)


main()
