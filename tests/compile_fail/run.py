#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compiles one program that must not compile, and checks what the user gets to read.

The file carries `// EXPECT: regex` lines. The compiler must refuse it, each regex must match a line of the output, and
the output must be at most 15 lines long, with the compiler's default flags, as a user sees it. --refused-with inverts the verdict for the runner's own checks.
"""
import argparse
import pathlib
import re
import subprocess
import sys

LONGEST = 15


def complaint(compiler, includes, source):
    """Why this file is no valid compile-fail test, or None; and the compiler's output."""
    expected = re.findall(r"^// EXPECT: (.+?)\s*$", source.read_text(), re.M)
    if not expected:
        return "no EXPECT line", ""
    command = [compiler, "-std=c++20", "-fsyntax-only"]
    command += [arg for path in includes for arg in ("-I", path)]
    run = subprocess.run([*command, str(source)], capture_output=True, text=True)
    output = run.stderr.strip()
    lines = output.splitlines()
    if run.returncode == 0:
        return "it compiles, but must not", output
    for regex in expected:
        if not any(re.search(regex, line) for line in lines):
            return f"no line of the output matches: {regex}", output
    if len(lines) > LONGEST:
        return f"{len(lines)} lines of diagnostics, more than {LONGEST}", output
    return None, output


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("--refused-with", metavar="TEXT")
    parser.add_argument("source", type=pathlib.Path)
    args = parser.parse_args()
    why, output = complaint(args.compiler, args.include, args.source)
    print(output)
    if args.refused_with:
        ok = why is not None and args.refused_with in why
        print(f"\nrunner said: {why}")
    else:
        ok = why is None
        if why:
            print(f"\n{args.source.name}: {why}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
