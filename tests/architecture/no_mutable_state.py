#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Counts the variables of netstack:: in .data, .bss and thread-local storage of linked programs.

Constants with pointers in them lie in .data.rel.ro and are fine. Usage: no_mutable_state.py EXPECTED OBJDUMP PROGRAM...
EXPECTED is 0, except for the program that shows that this script finds each kind.
"""
import re
import subprocess
import sys

WRITABLE = re.compile(r"\s(\.data|\.bss|\.tdata|\.tbss)(\.(?!rel\.ro)\S*)?\s")
# A variable of the namespace, of a class or of a function in it, or the guard or thread-local wrapper of one. The tests'
# own support lies in netstack::test and may have state.
OURS = re.compile(r"\s_Z(GV|TH|TW)?Z?N[KVRO]*8netstack(?!4test)")


def mutable_state(objdump, program):
    table = subprocess.run([objdump, "-t", program], capture_output=True, text=True)
    if table.returncode:
        sys.exit(table.stderr)
    return [line for line in table.stdout.splitlines() if WRITABLE.search(line) and OURS.search(line)]


def main():
    expected, objdump, *programs = sys.argv[1:]
    found = [f"{program}: {line}" for program in programs for line in mutable_state(objdump, program)]
    print("\n".join(found))
    print(f"{len(found)} mutable variables in {len(programs)} programs, {expected} expected")
    return 0 if programs and len(found) == int(expected) else 1


if __name__ == "__main__":
    sys.exit(main())
