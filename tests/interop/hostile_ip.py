#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Sends malformed IPv4 and ICMP frames to 192.0.2.2 on the interface that is named. Called by tests/interop/icmp.cpp."""
import random
import sys

from scapy.all import ICMP, IP, Ether, Raw, conf, fuzz, getmacbyip, raw
from scapy.utils import checksum

ME, STACK = "192.0.2.1", "192.0.2.2"


def with_options(options, payload):
    options += b"\0" * (-len(options) % 4)
    header = IP(src=ME, dst=STACK, proto=1, ihl=5 + len(options) // 4, len=20 + len(options) + len(payload), chksum=0)
    head = bytearray(raw(header)[:20] + options)
    head[10:12] = checksum(bytes(head)).to_bytes(2, "big")
    return bytes(head) + payload


def frames(ether):
    def ip(**fields):
        return ether / IP(src=ME, dst=STACK, **fields)

    ping = ICMP(type=8, id=7, seq=1) / Raw(b"x" * 32)
    whole = raw(ip() / ping)
    for cut in range(14, len(whole)):  # every length of a truncated datagram
        yield whole[:cut]
    for version in range(16):
        yield ip(version=version) / ping
    for ihl in range(16):
        yield ip(ihl=ihl) / ping
    for length in (0, 1, 19, 20, 27, 28, 61, 1500, 65535):
        yield ip(len=length) / ping
    yield ip(chksum=0xDEAD) / ping
    for frag in (1, 2, 100, 8191):
        for flags in ("", "MF", "DF"):
            yield ip(frag=frag, flags=flags) / ping
    for src in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", STACK, "192.0.2.255"):
        yield ether / IP(src=src, dst=STACK) / ping
    for dst in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.255", "203.0.113.1"):
        yield ether / IP(src=ME, dst=dst) / ping
    for options in (b"\x07\x00\x04\x00", b"\x07\x01\x04\x00", b"\x07\xff\x04\x00", b"\x83\x07\x04\x01\x02\x03\x04\x00",
                    b"\x83\x03\x04\x89\x03\x04\x00\x00", b"\x44\x04\x05\xf0", b"\x01\x01\x01\x07", b"\x94\x02\x00\x00",
                    b"\x83\x07\x04\x01\x02\x03\x04\x89\x07\x04\x01\x02\x03\x04\x00\x00", b"\x07" * 40, b"\xff" * 40):
        yield ether / Raw(with_options(options, raw(ping)))
    for kind in range(256):
        yield ip() / ICMP(type=kind, code=0) / Raw(b"y" * 4)
        yield ip(proto=kind) / Raw(b"z" * 12)
    for kind in (3, 4, 5, 11, 12):
        quote = raw(IP(src=STACK, dst=ME) / ICMP())
        for cut in range(len(quote) + 1):
            yield ip() / ICMP(type=kind, code=4) / Raw(quote[:cut])
    yield ip() / ICMP(type=8, chksum=1) / Raw(b"w" * 8)
    for size in range(8):
        yield ip(proto=1) / Raw(bytes(size))
    for _ in range(300):
        yield ip() / fuzz(ICMP()) / Raw(random.randbytes(random.randrange(64)))
        yield ether / Raw(random.randbytes(random.randrange(1, 120)))
        mangled = bytearray(whole)
        mangled[random.randrange(14, len(mangled))] ^= 1 << random.randrange(8)
        yield bytes(mangled)


def main():
    conf.verb = 0
    conf.iface = sys.argv[1]
    random.seed(1)
    mac = getmacbyip(STACK)
    sock = conf.L2socket(iface=sys.argv[1])
    sent = 0
    for frame in frames(Ether(dst=mac, type=0x0800)):
        sock.send(frame)
        sent += 1
    print("sent", sent)


if __name__ == "__main__":
    main()
