#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs an example as its source says: `// RUN: arguments`, then a match for every `// OUTPUT: regex`, exit code 0."""
import re
import shlex
import subprocess
import sys


def main():
    source, program = sys.argv[1:]
    text = open(source).read()
    arguments = re.search(r"^// RUN:(.*)$", text, re.M)[1]
    run = subprocess.run([program, *shlex.split(arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(run.stdout)
    expected = re.findall(r"^// OUTPUT: (.+?)\s*$", text, re.M)
    if not expected:
        sys.exit(f"{source} has no `// OUTPUT: regex` line")
    missing = [r for r in expected if not re.search(r, run.stdout, re.M)]
    for regex in missing:
        print(f"no line of the output matches: {regex}")
    if run.returncode:
        print(f"exit code {run.returncode}")
    return 1 if missing else run.returncode


if __name__ == "__main__":
    sys.exit(main())
