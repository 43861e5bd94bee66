#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Counts what a CTest run of one build directory proved, test case by test case.

Reads results.xml (CTest's JUnit file) and results/<entry>.tsv (one line per Catch2 case, written by the test binaries).
An entry without Catch2 cases counts as one. An entry that failed has at least one failure, however it ended. Prints the
failed and skipped entries, then `total <passed> <failed> <skipped>`.
"""
import collections
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

OUTPUT_LINES = 60


def verdict(entry):
    status = entry.get("status")
    if status == "run":
        return "passed"
    if status == "disabled":
        return "skipped"
    skipped = entry.find("skipped")
    if skipped is not None and skipped.get("message", "").startswith("SKIP_"):
        return "skipped"
    return "failed"


def cases(build, entry):
    path = build / "results" / (entry.get("name") + ".tsv")
    if not path.exists():
        return collections.Counter()
    return collections.Counter(line.split("\t")[0] for line in path.read_text(errors="replace").splitlines())


def show(entry, result):
    output = (entry.findtext("system-out") or "").splitlines()
    if result == "failed":
        print(f"-- failed: {entry.get('name')}")
        print("\n".join("   " + line for line in output[-OUTPUT_LINES:]))
    else:
        reasons = [line for line in output if re.match(r"SKIPPED: ", line)]
        print(f"-- skipped in {entry.get('name')}: {'; '.join(sorted(set(reasons))) or 'no reason given'}")


def main():
    build = pathlib.Path(sys.argv[1])
    ctest_status, build_failed = int(sys.argv[2]), int(sys.argv[3])
    total = collections.Counter(failed=build_failed)
    results = build / "results.xml"
    entries = xml.parse(results).iter("testcase") if results.exists() else []
    for entry in entries:
        result = verdict(entry)
        count = cases(build, entry) or collections.Counter([result])
        if result == "failed" and not count["failed"]:
            count["failed"] = 1
        if result == "failed" or count["skipped"]:
            show(entry, result if result == "failed" else "skipped")
        total += count
    if ctest_status and not total["failed"]:
        print(f"-- failed: ctest ended with {ctest_status} and names no test; see {build}/test.log")
        total["failed"] = 1
    print("total", total["passed"], total["failed"], total["skipped"])


if __name__ == "__main__":
    main()
