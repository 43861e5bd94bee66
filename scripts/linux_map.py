#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Keeps docs/linux-map.md: row <-> our function <-> Linux function <-> test.

Our side is read from `[S81]` tags in include/ (in a file's head: the file; beside a declaration: that function) and from
the tags of Catch2 test cases, compile-fail programs and examples. The rest is docs/linux-map.in.csv, whose columns are
  row, what, linux, proof (CTest entries that prove the row and are no Catch2 case), note.
A note that starts with `not applicable:` stands in for a test.

  linux_map.py                     writes docs/linux-map.md
  linux_map.py --check             fails if a tag names no row; says whether the page is stale and which rows lack a test
  linux_map.py --check --strict    fails if the page is stale or a required row lacks a test
  ... --build DIR                  also asks CTest there whether each test is registered and enabled, and its results
                                   whether it passed
"""
import argparse
import collections
import csv
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/linux-map.md"
REQUIRED = "1-21 22-57 58-93 96-105 107-134 136-137 144-151 154-169 178-183"
SKIPPED_EXIT_CODE = 4

Test = collections.namedtuple("Test", "file name entry")  # entry: CTest's name; a compile-fail program has one per compiler


def required_rows():
    for item in REQUIRED.split():
        first, _, last = item.partition("-")
        yield from (f"S{n}" for n in range(int(first), int(last or first) + 1))


def tags_in(text):
    """S numbers in brackets: [S81], [S81][S84], [S81, S84]."""
    for group in re.findall(r"\[(S\d+(?:[ ,]+S\d+)*)\]", text):
        yield from re.findall(r"S\d+", group)


# --- our functions


def declared_name(line):
    """The function, type or variable that a line of C++ declares, or None."""
    line = re.sub(r"//.*", "", line).strip()
    line = re.sub(r"^template\s*<.*?>\s*(?=\w)|\[\[.*?\]\]\s*|alignas\([^)]*\)\s*", "", line)
    if not line or re.match(r"(template|requires|return|if|for|while|using namespace)\b|[#}]|(public|private):", line):
        return None
    for pattern in (r"^(?:enum\s+class|enum|struct|class|union|concept|using)\s+(\w+)",
                    r"(operator\s*[^\s\w(]+|~?\b\w+)\s*\(",
                    r"(\w+)\s*(?:\[[^\]]*\])*\s*(?:=|\{|;|,|$)"):
        found = re.search(pattern, line)
        if found and found[1] not in ("NETSTACK_INLINE", "static_assert", "if", "requires", "noexcept", "decltype"):
            return found[1]
    return None


def declares(text, name):
    """Whether a header declares this name: a type, or a function or variable after its type."""
    return re.search(rf"^\s*(?:(?:struct|class|enum|union|using)\s+{name}\b"
                     rf"|(?!return\b|else\b)[\w:<>,&*\[\] ]*[\w>&*\]]\s+[*&]*{name}\s*[({{=;\[])", text, re.M)


def our_functions(linux_names):
    """row -> places, each `file` or `file:function`.

    A tag beside a declaration names that declaration. A tag in a file's head names those of the row's Linux functions
    that the file declares (Linux's names are kept), or else just the file.
    """
    rows = collections.defaultdict(list)
    for path in sorted((ROOT / "include").rglob("*.hpp")):
        place = path.relative_to(ROOT / "include/netstack").as_posix()
        text = path.read_text()
        code = re.sub(r"//.*", "", text)
        lines = text.splitlines()
        head = next((i for i, line in enumerate(lines) if line.startswith("#pragma once")), 0)
        for index, line in enumerate(lines):
            before, _, comment = line.partition("//")
            for row in tags_in(comment):
                if index > head:
                    candidates = lines[index:index + 12] if before.strip() else lines[index + 1:index + 12]
                    names = [next(filter(None, map(declared_name, candidates)), None)]
                else:
                    names = [name for name in linux_names.get(row, []) if declares(code, name)] or [None]
                for where in (f"{place}:{name}" if name else place for name in names):
                    if where not in rows[row]:
                        rows[row].append(where)
    # A place inside a file says more than the file.
    for row, places in rows.items():
        precise = {p.split(":")[0] for p in places if ":" in p}
        rows[row] = [p for p in places if p not in precise]
    return rows


# --- tests

LITERALS = r'((?:"(?:\\.|[^"\\])*"\s*)+)'
CASE = re.compile(r"\b(?:TEMPLATE_(?:LIST_|PRODUCT_)?)?(?:TEST_CASE|SCENARIO)(?:_METHOD|_SIG)*\s*\(\s*(?:[\w:<>]+\s*,\s*)?"
                  + LITERALS + r",\s*" + LITERALS)


def joined(literals):
    return "".join(re.findall(r'"((?:\\.|[^"\\])*)"', literals)).replace('\\"', '"')


def tests():
    """row -> tests that claim it."""
    rows = collections.defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("*.cpp")):
        relative = path.relative_to(ROOT)
        text = path.read_text()
        if relative.parts[1] == "compile_fail":
            for row in dict.fromkeys(tags_in(text)):
                rows[row].append(Test(relative.as_posix(), "does not compile", f"compile_fail.{path.stem}"))
            continue
        entry = ".".join((*relative.parts[1:-1], path.stem))
        for literal_name, literal_tags in CASE.findall(text):
            for row in dict.fromkeys(tags_in(joined(literal_tags))):
                rows[row].append(Test(relative.as_posix(), joined(literal_name), entry))
    for path in sorted((ROOT / "examples").glob("*.cpp")):
        text = path.read_text()
        if re.search(r"^// RUN:", text, re.M):
            for row in dict.fromkeys(tags_in(text)):
                rows[row].append(Test(path.relative_to(ROOT).as_posix(), "runs", f"example.{path.stem}"))
    return rows


# --- what CTest knows


def registered_entries(build):
    text = subprocess.run(["ctest", "--test-dir", str(build), "--show-only=json-v1"], capture_output=True, text=True, check=True)
    entries = {}
    for test in json.loads(text.stdout)["tests"]:
        properties = {p["name"]: p["value"] for p in test.get("properties", [])}
        if not properties.get("DISABLED"):
            entries[test["name"]] = test
    return entries


def state_of(test, entries, build):
    """`passed`, `skipped`, `failed`, `did not run` or `not registered`. An entry without case results is taken as run."""
    if not any(name == test.entry or name.startswith(test.entry + ".") for name in entries):
        return "not registered"
    if test.entry.startswith(("compile_fail.", "example.")) or test.name == "":
        return "passed"  # CTest itself reports it
    results = build / "results" / f"{test.entry}.tsv"
    if not results.exists():
        return "did not run"
    states = set()
    for line in results.read_text(errors="replace").splitlines():
        state, _, name = line.split("\t", 2)
        if name == test.name or name.startswith(test.name + " - "):  # a typed case appends its type
            states.add(state)
    for state in ("failed", "skipped", "passed"):
        if state in states:
            return state
    return "did not run"


# --- the page


def page(rows, ours, tests_of):
    required = set(required_rows())
    out = ["<!-- Generated by scripts/linux_map.py from the tags in include/ and tests/ and docs/linux-map.in.csv. -->",
           "# From Linux to netstack", "",
           "What Linux initialises and registers, where netstack does the same, and the test that shows it. Functions of",
           "netstack are given as `file:function` below `include/netstack`, tests as file and name of the test case.", "",
           "| Row | What | Linux | netstack | Test | Note |", "|---|---|---|---|---|---|"]
    for row in rows:
        number = row["row"]
        proofs = [f"`{t.file}`: {t.name}" for t in tests_of.get(number, [])] + [f"`{p}`" for p in row["proof"].split()]
        note = row["note"]
        if not (proofs or note or number in required):
            note = "later"
        cells = [number, row["what"], linux_cell(row["linux"]), "<br>".join(f"`{p}`" for p in ours.get(number, [])),
                 "<br>".join(proofs), note]
        out.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(out) + "\n"


def linux_cell(text):
    """Identifiers in code font, remarks in parentheses as they are."""
    parts = re.findall(r"\([^)]*\)|struct \w+|[\w/.*]+|…", text)
    return " ".join(p if p.startswith("(") or p == "…" else f"`{p}`" for p in parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--build", type=pathlib.Path)
    args = parser.parse_args()

    with open(ROOT / "docs/linux-map.in.csv", newline="") as table:
        rows = list(csv.DictReader(table))
    linux_names = {row["row"]: re.findall(r"\w+", re.sub(r"[\w/]+\.[ch]\b", "", row["linux"])) for row in rows}
    ours, tests_of = our_functions(linux_names), tests()
    text = page(rows, ours, tests_of)
    if not args.check:
        PAGE.write_text(text)
        return 0

    errors, remarks, skipped = [], [], []
    known = {row["row"] for row in rows}
    errors += [f"tag {tag} names no row" for tag in sorted({*ours, *tests_of} - known)]
    errors += [f"{number} is required but not in the table" for number in required_rows() if number not in known]
    late = errors if args.strict else remarks
    if not PAGE.exists() or PAGE.read_text() != text:
        late.append("docs/linux-map.md is stale: run scripts/linux_map.py")

    entries = registered_entries(args.build) if args.build else None
    required = set(required_rows())
    covered = 0
    for row in (r for r in rows if r["row"] in required):
        number = row["row"]
        claims = tests_of.get(number, []) + [Test("", "", proof) for proof in row["proof"].split()]
        if row["note"].startswith("not applicable:"):
            covered += 1
            continue
        if not claims:
            late.append(f"{number} has no test: {row['what']}")
            continue
        if entries is None:
            covered += 1
            continue
        states = [(t, state_of(t, entries, args.build)) for t in claims]
        bad = [f"{number}: {t.entry} “{t.name}” {state}" for t, state in states if state not in ("passed", "skipped")]
        late += bad
        if any(state == "passed" for _, state in states):
            covered += 1
        elif not bad:
            skipped.append(f"{number}: every test of it was skipped")

    print("\n".join(errors + remarks + skipped))
    print(f"{covered} of {len(required)} required rows have a test{' that passed' if args.build else ''} or a reason")
    if errors:
        return 1
    return SKIPPED_EXIT_CODE if args.strict and skipped else 0


if __name__ == "__main__":
    sys.exit(main())
