#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Holds the source tree to its architecture.

Over include/netstack: the direction of includes (floors.txt), length of headers and of functions, guards, macros,
Boost.Hana behind one header, no mutable static state in the text. Of TCP: that each counter moves, and that IPv4 is
known to few of its files. Over all C++ files: the licence line. Over the examples: a protocol or driver of one's own is
as short as the pages say. --self-test plants one violation after the other in a scratch tree and requires that each is
reported.
"""
import argparse
import pathlib
import re
import sys
import tempfile

LONGEST_HEADER = 600
LONGEST_FUNCTION = 80
LONGEST_OWN = 60
SPDX = "// SPDX-License-Identifier: BSL-1.0"
# docs/adr/0008-where-ipv6-joins.md: the rest of tcp/ asks these, and knows neither addresses nor IPv4's header.
IPV4_OF_TCP = {f"tcp/{name}.hpp" for name in ("tcp_v4_ends", "tcp_v4_syn", "tcp_v4_xmit", "tcp_ipv4", "tcp_flow",
                                              "tcp_offload", "tcp")}
OF_IPV4 = re.compile(r"\b(?:(?:sk_rcv_|sk_|inet_)?[sd]addr|be32(?: const)?(?: ?&)? \w+|_*tcp_v4_\w+|iphdr|ip_hdr|icmphdr"
                     r"|flowi4|rtable|ip_way\w*|sockaddr_in|csum_tcpudp\w*|ipv4_is_\w+)\b")
SOURCE_FOLDERS = ("include", "tests", "examples", "benchmarks", "fuzz")


def read_floors(path):
    floors = {}
    for line in path.read_text().splitlines():
        words = line.split("#")[0].split()
        for folder in words[1:]:
            floors[folder] = int(words[0])
    return floors


def without_comments(text):
    """The text with comments blanked, line by line as before. String literals stay."""
    pattern = r'("(?:\\.|[^"\\\n])*")|(//[^\n]*)|(/\*.*?\*/)'
    return re.sub(pattern, lambda m: m[1] or re.sub(r"[^\n]", " ", m[0]), text, flags=re.S)


def check_includes(where, folder, lines, floors):
    for number, line in lines:
        if re.match(r'\s*#\s*include\s*<netstack/|\s*#\s*include\s*"(?!netstack/)', line):
            yield f'{where}:{number}: write "netstack/folder/file.hpp"'
        found = re.match(r'\s*#\s*include\s*"netstack/(?:([^/"]+)/)?(detail/)?[^"]+"', line)
        if not found:
            continue
        other = found[1] or "."
        if other not in floors:
            yield f"{where}:{number}: folder {other}/ has no floor in floors.txt"
        elif other != folder and floors[other] > floors[folder]:
            yield f"{where}:{number}: upward include, floor {floors[folder]} ({folder}) reaches {floors[other]} ({other})"
        elif other != folder and floors[other] == floors[folder]:
            yield f"{where}:{number}: sibling include, {folder} must not see {other}"
        if found[2] and other != folder:
            yield f"{where}:{number}: {other}/detail/ belongs to {other}/ alone"


def check_text(where, relative, folder, lines):
    for number, line in lines:
        macro = re.match(r"\s*#\s*define\s+(\w+)", line)
        if macro and not (folder == "base" and macro[1].startswith("NETSTACK_")):
            yield f"{where}:{number}: macro {macro[1]}: macros are NETSTACK_* and live in base/"
        if re.search(r"#\s*include\s*[<\"]boost/hana", line) and relative != "meta/hana.hpp":
            yield f"{where}:{number}: only meta/hana.hpp includes Boost.Hana"
        if re.search(r"\bthread_local\b", line):
            yield f"{where}:{number}: thread_local"
        if re.match(r"\s*(inline\s+)?static\s+(inline\s+)?(?!constexpr\b|consteval\b|const\b|constinit\s+const\b|inline\b)"
                    r"[^()]*(;|=|\{)", line):
            yield f"{where}:{number}: mutable static"


def check_ip_version(where, relative, lines):
    for number, line in lines:
        found = OF_IPV4.search(line)
        if found and relative.startswith("tcp/") and relative not in IPV4_OF_TCP and not line.startswith("#include"):
            yield f"{where}:{number}: {found[0]} is IPv4's, which only {', '.join(sorted(IPV4_OF_TCP))} know"


def check_functions(where, text):
    """Whatever braces hold in a namespace or a class, that is neither of these and has a parameter list before it."""
    text = re.sub(r'"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\])\'|^[ \t]*#[^\n]*', "", text, flags=re.M)
    scopes, body, head = [], None, ""  # scopes: of each open brace, whether it may hold functions
    for found in re.finditer(r"([^;{}]*)([;{}])", text):
        head += found[1]
        if found[2] == "{":
            plain = re.sub(r"<[^<>]*>", "", re.sub(r"<[^<>]*>", "", head))
            if all(scopes) and not body:
                scopes.append(bool(re.search(r"\b(namespace|class|struct|union|enum)\b", plain)))
                if not scopes[-1] and ")" in plain:
                    body = len(scopes), text.count("\n", 0, found.start(2)) + 1
            else:
                scopes.append(False)
            head = "" if scopes[-1] else head
            continue
        if found[2] == "}":
            if body and body[0] == len(scopes):
                count = text.count("\n", 0, found.start(2)) + 2 - body[1]
                if count > LONGEST_FUNCTION:
                    yield f"{where}:{body[1]}: {count} lines in a function, more than {LONGEST_FUNCTION}"
                body = None
            scopes.pop()
            if re.match(r"\s*[,{]", text[found.end():]):  # of a constructor's list
                continue
        head = ""


def check_counters(root):
    """TcpExt: each counter moves somewhere, but those that the struct sets apart."""
    path = root / "include/netstack/tcp/tcp_mib.hpp"
    if not path.exists():
        return
    struct = re.search(r"^struct tcpext_mib \{\n(.*?)^\};", path.read_text(), re.S | re.M)[1]
    parts = re.split(r"  // Columns that nothing.*\n", struct)
    live, never = (set(re.findall(r"\w+(?=[,;])", without_comments(part))) for part in parts)
    text = "".join(without_comments(p.read_text()) for p in sorted(path.parent.glob("*.hpp")) if p != path)
    for name in sorted(live | never):
        if bool(re.search(rf"\.{name}\b", text)) != (name in live):
            yield f"include/netstack/tcp/tcp_mib.hpp: {name} {'never moves' if name in live else 'moves'}"


def check_own(where, text):
    """What stands between `// --- the driver ---` and the next rule, without the marks of parts."""
    for own in re.findall(r"^// --- the [^\n]*-\n(.*?)^// -{20,}$", text, re.S | re.M):
        count = sum(not re.match(r"\s*// \[/?\w+\]$", line) for line in own.splitlines())
        if count > LONGEST_OWN:
            yield f"{where}: {count} lines for one's own module, more than {LONGEST_OWN}"


def check(root):
    floors = read_floors(root / "tests/architecture/floors.txt")
    library = root / "include/netstack"
    for path in sorted(library.rglob("*.hpp")):
        where = path.relative_to(root)
        relative = path.relative_to(library).as_posix()
        folder = relative.split("/")[0] if "/" in relative else "."
        text = path.read_text()
        count = text.count("\n")
        if count > LONGEST_HEADER:
            yield f"{where}: {count} lines, more than {LONGEST_HEADER}"
        if "#pragma once" not in text:
            yield f"{where}: no #pragma once"
        if folder not in floors:
            yield f"{where}: folder {folder}/ has no floor in floors.txt"
            continue
        bare = without_comments(text)
        lines = list(enumerate(bare.splitlines(), 1))
        yield from check_functions(where, bare)
        yield from check_includes(where, folder, lines, floors)
        yield from check_text(where, relative, folder, lines)
        yield from check_ip_version(where, relative, lines)
    yield from check_counters(root)
    for path in sorted((root / "examples").rglob("own_*.cpp")):
        yield from check_own(path.relative_to(root), path.read_text())
    for folder in SOURCE_FOLDERS:
        for path in sorted((root / folder).rglob("*.[ch]pp")):
            if path.open().readline().rstrip("\n") != SPDX:
                yield f"{path.relative_to(root)}:1: the first line is not {SPDX}"


MIB = "#pragma once\nstruct tcpext_mib {\n  counter A,\n      B;\n  // Columns that nothing\n  counter C;\n};\n"
# (file, its text after the licence line, what must be reported)
VIOLATIONS = [
    ("base/a.hpp", '#pragma once\n#include "netstack/wire/b.hpp"\n', "upward include"),
    ("udp/a.hpp", '#pragma once\n#include "netstack/tcp/b.hpp"\n', "sibling include"),
    ("ipv4/a.hpp", '#pragma once\n#include "netstack/netstack.hpp"\n', "upward include"),
    ("core/a.hpp", '#pragma once\n#include "netstack/skb/detail/b.hpp"\n', "belongs to skb/"),
    ("core/a.hpp", "#pragma once\n#include <netstack/skb/b.hpp>\n", "write"),
    ("core/a.hpp", '#pragma once\n#include "../skb/b.hpp"\n', "write"),
    ("core/a.hpp", '#pragma once\n#include "netstack/nowhere/b.hpp"\n', "has no floor"),
    ("nowhere/a.hpp", "#pragma once\n", "has no floor"),
    ("core/a.hpp", "", "no #pragma once"),
    ("core/a.hpp", "#pragma once\n" + "\n" * 600, "more than 600"),
    ("core/a.hpp", "#pragma once\nclass c {\n  void f() {\n" + "\n" * 79 + "  }\n};\n", "in a function"),
    ("core/a.hpp", "#pragma once\nstruct s {\n  int x;\n  s() : x{1} {\n" + "\n" * 79 + "  }\n};\n", "in a function"),
    ("tcp/tcp_mib.hpp", MIB, "A never moves"),
    ("tcp/tcp_mib.hpp", MIB, "B never moves"),
    ("tcp/a.hpp", "#pragma once\nstruct a {\n  be32 peer{};\n};\n", "be32 peer is IPv4's"),
    ("tcp/a.hpp", "#pragma once\ninline bool f(be32 const& a) { return !a; }\n", "be32 const& a is IPv4's"),
    ("tcp/a.hpp", "#pragma once\ninline auto f(sock& sk) { return sk.sk_daddr; }\n", "sk_daddr is IPv4's"),
    ("tcp/a.hpp", "#pragma once\ninline auto f(sk_buff& skb) { return ip_hdr(skb)->tos; }\n", "ip_hdr is IPv4's"),
    ("tcp/a.hpp", "#pragma once\ninline void f() { __tcp_v4_send(); }\n", "__tcp_v4_send is IPv4's"),
    ("core/a.hpp", "#pragma once\n#define NETSTACK_X 1\n", "macro NETSTACK_X"),
    ("base/a.hpp", "#pragma once\n#define X 1\n", "macro X"),
    ("core/a.hpp", "#pragma once\n#include <boost/hana.hpp>\n", "Boost.Hana"),
    ("core/a.hpp", "#pragma once\ninline thread_local int x;\n", "thread_local"),
    ("core/a.hpp", "#pragma once\nstruct s {\n  static inline int x = 0;\n};\n", "mutable static"),
    ("core/a.hpp", "#pragma once\ninline void f() {\n  static int calls;\n}\n", "mutable static"),
    ("../../examples/own_a.cpp", "// --- the driver ---\n" + "\n" * 61 + "// " + "-" * 40 + "\n", "one's own module"),
]
CLEAN_TCP = ('#pragma once\n#include "netstack/tcp/tcp_v4_ends.hpp"\n// called by tcp_v4_rcv\n'
             "inline u32 f(u32 seq) { return be32{seq}.raw(); }\ninline void g(inet_sock& sk) { inet_reset_saddr(sk); }\n")
CLEAN = ('#pragma once\n#include <vector>\n\n#include "netstack/base/b.hpp"\n// static int x; thread_local "\n'
         "struct s {\n  static constexpr int x = 0;\n  static void f();\n  static int g() { return 1; }\n};\n"
         "struct alignas(64) t {\n" + "\n" * 90 + "};\ninline int h(char c) {\n  return c == '{';" + "\n" * 78 + "}\n")


def self_test(floors):
    failures = 0
    cases = [(file, f"{SPDX}\n{text}", expected) for file, text, expected in VIOLATIONS]
    cases += [("core/a.hpp", "#pragma once\n", "the first line"), ("core/a.hpp", f"{SPDX}\n{CLEAN}", None),
              ("tcp/a.hpp", f"{SPDX}\n{CLEAN_TCP}", None),
              ("tcp/tcp_ipv4.hpp", f"{SPDX}\n#pragma once\nvoid f(iphdr&);\n", None)]
    for file, text, expected in cases:
        with tempfile.TemporaryDirectory() as scratch:
            root = pathlib.Path(scratch)
            (root / "tests/architecture").mkdir(parents=True)
            (root / "tests/architecture/floors.txt").write_text(floors.read_text())
            header = root / "include/netstack" / file
            header.parent.mkdir(parents=True)
            header.write_text(text)
            found = list(check(root))
        if not (any(expected in line for line in found) if expected else not found):
            failures += 1
            print(f"not noticed in {file}: {expected}; reported instead: {found}")
    print(f"{len(cases)} planted cases, {failures} judged wrongly")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--self-test", action="store_true")
    args = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parents[2]
    if args.self_test:
        return 1 if self_test(root / "tests/architecture/floors.txt") else 0
    complaints = list(check(root))
    print("\n".join(complaints) or "the tree keeps its architecture")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
