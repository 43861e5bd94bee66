#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Puts source files into the pages that show them, so that a page never shows code which nobody compiles.

In a page, `<!-- include: examples/first.cpp -->` before a fenced block stands for the file without its licence and test lines;
`<!-- include: examples/first.cpp#part -->` for the lines between `// [part]` and `// [/part]`.

  embed.py            rewrites the blocks of README.md and docs/**/*.md
  embed.py --check    fails if a block differs from its file
"""
import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- include: (\S+?)(?:#(\w+))? -->\n```(\w*)\n)(.*?)(```)", re.S)
# The licence line, what tells CTest how to run the file, the marks of parts.
NOT_SHOWN = re.compile(r"^\s*// (SPDX-License-Identifier|RUN|OUTPUT):.*\n|^\s*// \[/?\w+\]\n", re.M)
MARK = re.compile(r"<!-- include: ")


def shown(file, part):
    text = (ROOT / file).read_text()
    if part:
        found = re.search(rf"^\s*// \[{part}\]\n(.*?)^\s*// \[/{part}\]", text, re.S | re.M)
        if not found:
            sys.exit(f"{file} has no part [{part}]")
        text = textwrap.dedent(found[1])
    return NOT_SHOWN.sub("", text).lstrip("\n")


def main():
    check = sys.argv[1:] == ["--check"]
    stale, blocks = [], 0
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = page.read_text()
        found = BLOCK.findall(text)
        if len(found) != len(MARK.findall(text)):
            sys.exit(f"{page.relative_to(ROOT)}: an include mark without a fenced block after it")
        blocks += len(found)
        wanted = BLOCK.sub(lambda m: m[1] + shown(m[2], m[3]) + m[6], text)
        if wanted != text:
            stale.append(str(page.relative_to(ROOT)))
            if not check:
                page.write_text(wanted)
    print(f"{blocks} blocks; {'differs' if check else 'rewritten'}: {' '.join(stale) or 'none'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
