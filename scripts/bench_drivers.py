# SPDX-License-Identifier: BSL-1.0
"""scripts/bench --drivers: what each driver carries, as a share of a program that makes the same system calls and uses the
same rings without a stack; a TCP connection with Linux over one, as a share of Linux's own in its place. Both run in turn, in
network namespaces of their own that go when they end."""
import statistics
import subprocess

BEGIN, END = "<!-- scripts/bench --drivers: begin -->", "<!-- scripts/bench --drivers: end -->"
SIZES = (60, 1514)
# Row: at least this share of raw.
LEAST = {"drivers/af_xdp/rx": 0.95, "drivers/af_xdp/tx": 0.95, "drivers/af_xdp/l2fwd": 0.95, "drivers/af_xdp/udp_echo": 0.93,
         "drivers/af_xdp/tcp_tx": 1, "drivers/af_xdp/tcp_tx_gro": 1, "drivers/af_xdp/tcp_rx": 1,
         "drivers/pcap/rx": 0.95, "drivers/pcap/inject": 0.95, "drivers/tap/rx": 0.95, "drivers/tap/tx": 0.95}


def rate(program, row, which, size, seconds, foreground):
    run = subprocess.run([str(program), row, which, str(size), str(seconds)], check=True, stdout=subprocess.PIPE, text=True,
                         timeout=60, preexec_fn=foreground)
    return float(run.stdout)


def measure(program, rounds, seconds, foreground):
    """{(row, bytes): [(ours, raw) of each round]}"""
    rates = {}
    for number in range(rounds):
        for row in LEAST:
            for size in SIZES if "/tcp_" not in row else SIZES[-1:]:
                order = ("ours", "raw") if number % 2 == 0 else ("raw", "ours")
                got = {which: rate(program, row, which, size, seconds, foreground) for which in order}
                rates.setdefault((row, size), []).append((got["ours"], got["raw"]))
        print(f"\rround {number + 1} of {rounds}", end="", flush=True)
    print()
    return rates


def table(rates, spread):
    lines = ["| benchmark | bytes | ours Mpps | raw Mpps | share of raw (at least) | spread |", "|---|---|---|---|---|---|"]
    for (row, size), pairs in rates.items():
        ours, raw = (statistics.median(side) / 1e6 for side in zip(*pairs))
        shares = [a / b for a, b in pairs]
        share = statistics.median(shares)
        short = "" if share >= LEAST[row] else " short"
        lines.append(f"| `{row}` | {size} | {ours:.2f} | {raw:.2f} | {share:.3f} ({LEAST[row]}){short} | "
                     f"{100 * spread(shares) / share:.0f} % |")
    return "\n".join(lines)
