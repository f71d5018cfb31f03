# SPDX-License-Identifier: Apache-2.0
"""Medians of what scripts/bench measured.

usage: results_table.py [--json | --rivals] FILE

FILE has lines PEER, WORKLOAD, N, UNIT, VALUE, NOTE, separated by tabs, or the same as JSON objects, in
the order of measuring; one line a round. Prints a table (each workload once; beside the figure of
each peer, in brackets, the multiple of it that prollyfs has), or with --json one object a line,
{"peer","workload","n","value","unit","note"}, the value a median. The note of a median says how many
rounds, and the least and the most.

With --rivals it is the multiple of ours that the peer has: (3.0 x) takes three times what prollyfs
takes. RocksDB is compared with us on RocksDB, all others with us in memory. If there are figures for
ten million entries, a second table has what they are over those for a hundred thousand.
"""

import json
import statistics
import sys

OURS = "prollyfs"
OURS_BESIDE = {"rocksdb": "prollyfs-rocksdb"}
SMALL, LARGE = 100_000, 10_000_000
TIMES = ("ns", "us", "ms", "s")


def parse(line):
    if not line.startswith("{"):
        peer, workload, n, unit, value, note = line.rstrip("\n").split("\t")
        return peer, workload, int(n), unit, float(value), note
    figure = json.loads(line)
    return (figure["peer"], figure["workload"], int(figure["n"]), figure["unit"],
            float(figure["value"]), figure.get("note", ""))


def load(path):
    """{(peer, workload, n, unit): ([value, ...], note)}, in the order of first appearance."""
    figures = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            peer, workload, n, unit, value, note = parse(line)
            values, _ = figures.setdefault((peer, workload, n, unit), ([], note))
            values.append(value)
    return figures


def spread(values, note):
    rounds = f"{len(values)} rounds, {min(values):.4g} to {max(values):.4g}" if len(values) > 1 else ""
    return "; ".join(text for text in (note, rounds) if text)


def number(value):
    if value is None:
        return ""
    return f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"


def multiple(value):
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def print_json(figures):
    for (peer, workload, n, unit), (values, note) in figures.items():
        print(json.dumps({"peer": peer, "workload": workload, "n": n,
                          "value": round(statistics.median(values), 6), "unit": unit,
                          "note": spread(values, note)}, separators=(",", ":")))


def columns(figures):
    """The peers, prollyfs and its variants first, else in the order of first appearance."""
    peers = list(dict.fromkeys(peer for peer, _, _, _ in figures))
    return sorted(peers, key=lambda peer: (not peer.startswith(OURS), peer != OURS))


def cell(peer, medians, beside_rivals):
    median = medians[peer]
    ours = medians.get(OURS_BESIDE.get(peer, OURS) if beside_rivals else OURS)
    if not median or peer.startswith(OURS) or ours is None:
        return number(median)
    if not beside_rivals:
        return f"{number(median)} ({ours / median:.2f})"
    return f"{number(median)} ({multiple(median / ours)} x)" if ours else number(median)


def print_rows(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [row[i].ljust(widths[i]) if i in (0, 2, len(row) - 1) else row[i].rjust(widths[i])
                 for i in range(len(row))]
        print("  ".join(cells).rstrip())


def print_table(figures, beside_rivals):
    peers = columns(figures)
    workloads = dict.fromkeys((workload, n, unit) for _, workload, n, unit in figures)
    rows = [("workload", "n", "unit", *peers, "note")]
    for workload, n, unit in workloads:
        found = {peer: figures.get((peer, workload, n, unit)) for peer in peers}
        medians = {peer: statistics.median(one[0]) if one else None for peer, one in found.items()}
        notes = [spread(*one) for peer, one in found.items() if one and peer.startswith(OURS)]
        rows.append((workload, f"{n:,}", unit, *(cell(peer, medians, beside_rivals) for peer in peers),
                     *(notes[:1] or [""])))
    print_rows(rows)


def print_growth(figures):
    """Of ours, what a time is at LARGE over what it is at SMALL."""
    peers = [peer for peer in columns(figures) if peer.startswith(OURS)]
    rows = [(f"{LARGE:,} over {SMALL:,}", *peers, "")]
    for workload, unit in dict.fromkeys((workload, unit) for _, workload, n, unit in figures
                                        if n == LARGE and unit.split("/")[0] in TIMES):
        cells = []
        for peer in peers:
            pair = [figures.get((peer, workload, n, unit)) for n in (LARGE, SMALL)]
            cells.append(multiple(statistics.median(pair[0][0]) / statistics.median(pair[1][0]))
                         + " x" if all(pair) else "")
        if any(cells):
            rows.append((workload, *cells, ""))
    if len(rows) > 1:
        print()
        print_rows(rows)


def main():
    figures = load(sys.argv[-1])
    options = sys.argv[1:-1]
    if "--json" in options:
        print_json(figures)
        return
    print_table(figures, "--rivals" in options)
    if "--rivals" in options:
        print_growth(figures)


main()
