# SPDX-License-Identifier: BSL-1.0
"""scripts/bench --compile: what the library costs its users' compiler, and their programs in bytes."""
import pathlib
import re
import resource
import subprocess
import tempfile

BEGIN, END = "<!-- scripts/bench --compile: begin -->", "<!-- scripts/bench --compile: end -->"
FLAGS = ["-std=c++20", "-O2", "-DPCAP_DONT_INCLUDE_PCAP_BPF_H"]
# What a program includes by itself; everything else comes with these.
ENTRIES = ["netstack/netstack.hpp", "netstack/stack/stack.hpp", "netstack/presets.hpp", "netstack/registry/module.hpp",
           "netstack/ipv4/ipv4.hpp", "netstack/udp/udp.hpp", "netstack/tcp/tcp.hpp", "netstack/socket/socket.hpp", "netstack/socket/udp_socket.hpp",
           "netstack/core/netdev.hpp", "netstack/core/dev_config.hpp", "netstack/skb/skb_ops.hpp", "netstack/wire/checksum.hpp",
           "netstack/drivers/loopback.hpp", "netstack/drivers/pipe.hpp", "netstack/drivers/tap.hpp", "netstack/drivers/tun.hpp",
           "netstack/drivers/af_xdp.hpp", "netstack/drivers/pcap.hpp"]
PRESETS = {"`presets::full`": "netstack::presets::full", "`presets::host`": "netstack::presets::host",
           "`presets::router`": "netstack::presets::router", "no module but its own": "none"}
PROGRAM = """#include <netstack/netstack.hpp>
#include <cstdio>
struct none : netstack::module {{}};
struct host : netstack::stack<host, {modules}> {{}};
int main() {{
  host h;
  if (!h.boot()) return 1;
  h.poll();
  std::printf("%zu\\n", host::memory_bound());
}}
"""


def seconds(command, foreground):
    """The processor time of the compiler."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, preexec_fn=foreground)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def text_size(program):
    out = subprocess.run(["size", str(program)], check=True, capture_output=True, text=True).stdout
    return int(out.splitlines()[1].split()[0])


def compile_times(root, sources, rounds, compiler, foreground):
    """{source: [seconds of each round]}; every round compiles each file once."""
    times = {}
    for number in range(rounds):
        for name, source in sources.items():
            command = [compiler, *FLAGS, "-I", str(root / "include"), "-c", str(source), "-o", "/dev/null"]
            times.setdefault(name, []).append(seconds(command, foreground))
        print(f"\rround {number + 1} of {rounds}", end="", flush=True)
    print()
    return times


def table(root, rounds, foreground, compiler="g++"):
    folder = root / "benchmarks" / "compile"
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        empty = scratch / "empty.cpp"
        empty.write_text("int main() {}\n")
        sources = {"": empty} | {p.name: p for p in sorted(folder.glob("*.cpp"))}
        for header in ENTRIES:
            source = scratch / (re.sub(r"\W", "_", header) + ".cpp")
            source.write_text(f"#include <{header}>\nint main() {{}}\n")
            sources[header] = source
        times = {name: min(values) for name, values in compile_times(root, sources, rounds, compiler, foreground).items()}
        lines = ["| a unit that includes | seconds |", "|---|---|"]
        lines += [f"| `{header}` | {times[header] - times['']:.2f} |" for header in ENTRIES]
        lines += ["", "| benchmarks/compile | seconds | of it for each module |", "|---|---|---|"]
        two = times["modules_2.cpp"]
        for number in (2, 8, 32):
            name = f"modules_{number}.cpp"
            each = "" if number == 2 else f"{1000 * (times[name] - two) / (number - 2):.0f} ms"
            lines.append(f"| `{name}`: a stack of {number} small protocols | {times[name]:.2f} | {each} |")
        lines.append(f"| `full.cpp`: every module named and checked, none of its code | {times['full.cpp']:.2f} | |")
        lines.append(f"| `full_program.cpp`: all of its code | {times['full_program.cpp']:.2f} | |")
        lines += ["", "| a program that boots and polls | text, KiB | memory bound, MiB |", "|---|---|---|"]
        for what, modules in PRESETS.items():
            source, program = scratch / "preset.cpp", scratch / "preset"
            source.write_text(PROGRAM.format(modules=modules))
            subprocess.run([compiler, *FLAGS, "-I", str(root / "include"), str(source), "-o", str(program)], check=True,
                           preexec_fn=foreground)
            bound = int(subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout)
            lines.append(f"| {what} | {text_size(program) / 1024:.0f} | {bound / 2**20:.1f} |")
    return "\n".join(lines)
