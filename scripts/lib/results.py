# SPDX-License-Identifier: Apache-2.0
"""Counts what ran, from meson's testlog.json, at the level of single test cases.

A TAP program counts its cases: each `ok` and `not ok`, and each case that its plan promised and that
never came (a crash or a time-out) as failed. Any other program counts as one case. A program that
failed though each of its cases passed adds one failure. The last line is `N passed, N failed`;
exit status 1 if anything failed or nothing ran.
"""

import json
import re
import sys

CASE = re.compile(r"^(ok|not ok)\b\s*\d*\s*-?\s*(.*?)(?:\s+#\s*(SKIP|TODO)\b\s*(.*))?$", re.I)
PLAN = re.compile(r"^1\.\.(\d+)(?:\s+#\s*SKIP\b\s*(.*))?", re.I)


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []


def count_tap(name, output, tally):
    """Adds the cases in OUTPUT to TALLY; false if OUTPUT is not TAP."""
    planned = None
    seen = 0
    for line in output.splitlines():
        if match := PLAN.match(line):
            planned = int(match[1])
            if planned == 0:
                tally.skipped.append(f"{name}: {match[2] or 'whole file'}")
        elif match := CASE.match(line):
            seen += 1
            if (match[3] or "").upper() == "SKIP":
                tally.skipped.append(f"{name}: {match[2]} ({match[4]})")
            elif match[1].lower() == "ok":
                tally.passed += 1
            else:
                tally.failed.append(f"{name}: {match[2]}")
    if planned is None and seen == 0:
        return False
    for number in range(seen, planned or 0):
        tally.failed.append(f"{name}: case {number + 1} of {planned} never ended")
    return True


def count_program(entry, tally):
    name = entry["name"].split(" / ")[-1]
    good = entry["result"] in ("OK", "SKIP", "EXPECTEDFAIL")
    failures = len(tally.failed)

    if not count_tap(name, entry.get("stdout") or "", tally):
        if entry["result"] == "SKIP":
            tally.skipped.append(name)
        elif good:
            tally.passed += 1
    if not good and len(tally.failed) == failures:
        tally.failed.append(f"{name}: {entry['result'].lower()}, exit status {entry['returncode']}")


def main():
    tally = Tally()
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as log:
            for line in log:
                count_program(json.loads(line), tally)

    for text in tally.skipped:
        print(f"skipped  {text}")
    for text in tally.failed:
        print(f"FAILED   {text}")
    if tally.skipped:
        print(f"{len(tally.skipped)} skipped")
    print(f"{tally.passed} passed, {len(tally.failed)} failed")
    return 1 if tally.failed or not tally.passed else 0


sys.exit(main())
