#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compiles a file at -O2 and holds the compiler to the time that the file allows: `// BUDGET: 5.0 s`.

`// BUDGET: 1.5 s over other.cpp` allows that much more than the file beside it takes. Counts the compiler's own
processor time. A machine that others use makes it slower, and not always equally: so the two are compiled in turn, and
what counts is how much longer the second of each pair took, as a multiple; the median pair says by how much the fastest
run of the other file is exceeded. Stops as soon as that is within the budget.
"""
import pathlib
import re
import resource
import statistics
import subprocess
import sys

ROUNDS = 9


def seconds(compiler, source, flags):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([compiler, "-std=c++20", "-O2", *flags, "-c", source, "-o", "/dev/null"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def own_time(time_of, source, budget):
    """The fastest of up to ROUNDS runs; stops when one is within the budget."""
    best = time_of(source)
    for _ in range(ROUNDS - 1):
        if best <= budget:
            break
        best = min(best, time_of(source))
    return best


def excess(time_of, source, base, budget):
    """Seconds that `source` takes longer than `base`: three pairs at least, up to ROUNDS while it exceeds the budget."""
    ratios, fastest = [], float("inf")
    for number in range(ROUNDS):
        pair = {file: time_of(file) for file in ((base, source) if number % 2 == 0 else (source, base))}
        print(f"{base.name} {pair[base]:.2f} s, {source.name} {pair[source]:.2f} s")
        fastest = min(fastest, pair[base])
        ratios.append(pair[source] / pair[base])
        over = (statistics.median(ratios) - 1) * fastest
        if number >= 2 and over <= budget:
            break
    return over


def main():
    compiler, source, *flags = sys.argv[1:]
    source = pathlib.Path(source)
    found = re.search(r"^// BUDGET: ([\d.]+) s(?: over (\S+))?$", source.read_text(), re.M)
    budget = float(found[1])

    def time_of(file):
        return seconds(compiler, file, flags)

    if found[2]:
        time = excess(time_of, source, source.with_name(found[2]), budget)
        print(f"{time:.2f} s over {found[2]} of {budget:.2f} s allowed")
    else:
        time = own_time(time_of, source, budget)
        print(f"{time:.2f} s of {budget:.2f} s allowed")
    return 0 if time <= budget else 1


if __name__ == "__main__":
    sys.exit(main())
