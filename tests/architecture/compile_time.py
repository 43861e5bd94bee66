#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compiles a file at -O2 and holds the compiler to the time that the file allows: `// BUDGET: 5.0 s`.

`// BUDGET: 1.5 s over other.cpp` allows that much more than the file beside it takes. Counts the compiler's own
processor time, best of three runs, so that a busy machine matters little.
"""
import pathlib
import re
import resource
import subprocess
import sys


def best_time(compiler, source, flags, enough=0.0):
    """Seconds; stops early when a run took no longer than `enough`."""
    times = []
    while len(times) < 3 and not (times and min(times) <= enough):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([compiler, "-std=c++20", "-O2", *flags, "-c", source, "-o", "/dev/null"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def main():
    compiler, source, *flags = sys.argv[1:]
    source = pathlib.Path(source)
    found = re.search(r"^// BUDGET: ([\d.]+) s(?: over (\S+))?$", source.read_text(), re.M)
    budget = float(found[1])
    if found[2]:
        base = best_time(compiler, source.with_name(found[2]), flags)
        print(f"{found[2]}: {base:.2f} s")
        budget += base
    time = best_time(compiler, source, flags, budget)
    print(f"{time:.2f} s of {budget:.2f} s allowed")
    return 0 if time <= budget else 1


if __name__ == "__main__":
    sys.exit(main())
