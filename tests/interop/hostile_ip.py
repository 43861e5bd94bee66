#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""hostile_ip.py INTERFACE [KIND…]: sends malformed frames to 192.0.2.2. KIND: ip (IPv4 and ICMP, the default), udp, arp,
ether. Called by tests/interop/icmp.cpp and inetd.cpp."""
import random
import sys

from scapy.all import ARP, ICMP, IP, UDP, Ether, Raw, conf, fuzz, getmacbyip, raw
from scapy.utils import checksum

ME, STACK = "192.0.2.1", "192.0.2.2"


def with_options(options, payload):
    options += b"\0" * (-len(options) % 4)
    header = IP(src=ME, dst=STACK, proto=1, ihl=5 + len(options) // 4, len=20 + len(options) + len(payload), chksum=0)
    head = bytearray(raw(header)[:20] + options)
    head[10:12] = checksum(bytes(head)).to_bytes(2, "big")
    return bytes(head) + payload


def ip_frames(ether):
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


def udp_frames(ether):
    def udp(payload=b"u" * 32, **fields):
        return ether / IP(src=ME, dst=STACK) / UDP(**{"sport": 5000, "dport": 7, **fields}) / Raw(payload)

    whole = raw(udp())
    for cut in range(len(whole) - 14 - 20):  # IP says the truth, UDP is cut short
        yield ether / IP(src=ME, dst=STACK, proto=17) / Raw(whole[34:34 + cut])
    for cut in range(14, len(whole)):  # and IP does not
        yield whole[:cut]
    for length in (*range(10), 39, 41, 1500, 65535):
        yield udp(len=length)
    for chksum in (0, 1, 0xFFFF):
        yield udp(chksum=chksum)
    for port in (0, 1, 7, 9, 13, 19, 65535):
        for source in (0, 1, 7, 19, 65535):  # echo to chargen, and whom nobody can answer
            yield udp(sport=source, dport=port)
            yield udp(b"", sport=source, dport=port)
    for src in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", STACK, "192.0.2.255"):
        for port in (7, 19):
            yield ether / IP(src=src, dst=STACK) / UDP(sport=7, dport=port) / Raw(b"loop")
    for dst in ("192.0.2.255", "255.255.255.255", "224.0.0.1", "127.0.0.1"):
        yield ether / IP(src=ME, dst=dst) / UDP(sport=5000, dport=7) / Raw(b"all")
    for frag, flags in ((0, "MF"), (3, "MF"), (3, ""), (8189, "")):
        yield ether / IP(src=ME, dst=STACK, frag=frag, flags=flags) / UDP(sport=5000, dport=7) / Raw(b"f" * 24)
    for kind in (3, 11, 12):  # errors about datagrams that were never sent
        for code in range(16):
            yield ether / IP(src=ME, dst=STACK) / ICMP(type=kind, code=code) / IP(src=STACK, dst=ME) / UDP(sport=7)
    for _ in range(300):
        yield ether / IP(src=ME, dst=STACK) / fuzz(UDP(dport=random.choice((7, 9, 13, 19)))) / Raw(random.randbytes(9))
        mangled = bytearray(whole)
        mangled[random.randrange(14, len(mangled))] ^= 1 << random.randrange(8)
        yield bytes(mangled)


def arp_frames(ether):
    def arp(**fields):
        return Ether(dst=ether.dst, type=0x0806) / ARP(**{"psrc": "192.0.2.77", "pdst": STACK, **fields})

    whole = raw(arp(op=1))
    for cut in range(14, len(whole)):
        yield whole[:cut]
    for field in ("hwtype", "ptype", "op"):
        for value in (0, 2, 3, 0x86DD, 0xFFFF):
            yield arp(**{field: value})
    for field in ("hwlen", "plen"):
        for value in (0, 1, 5, 7, 16, 255):
            yield arp(**{field: value})
    for op in (1, 2):
        for psrc in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", STACK):
            for hwsrc in ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", ether.dst):
                yield arp(op=op, psrc=psrc, hwsrc=hwsrc)
    for host in range(3, 255):  # more neighbours than a small network has
        for third in (2, 3, 4):
            yield arp(op=1, psrc=f"192.0.{third}.{host}", hwsrc=f"02:00:00:00:{third:02x}:{host:02x}")


def ether_frames(ether):
    for kind in (0, 1, 46, 1500, 1501, 1535, 1536, 0x0800, 0x0806, 0x8100, 0x86DD, 0x88A8, 0x8847, 0xFFFF):
        for size in (0, 1, 3, 4, 8, 20, 46, 1400, 1500):
            yield Ether(dst=ether.dst, type=kind) / Raw(random.randbytes(size))
    for dst in ("00:00:00:00:00:00", "01:00:5e:00:00:01", "33:33:00:00:00:01", "ff:ff:ff:ff:ff:ff", "02:11:22:33:44:55"):
        yield Ether(dst=dst, type=0x0800) / IP(src=ME, dst=STACK) / UDP(sport=5000, dport=7) / Raw(b"who")
    for _ in range(200):
        yield random.randbytes(random.randrange(14, 1514))


def main():
    conf.verb = 0
    conf.iface = sys.argv[1]
    random.seed(1)
    mac = getmacbyip(STACK)
    sock = conf.L2socket(iface=sys.argv[1])
    sent = 0
    kinds = {"ip": ip_frames, "udp": udp_frames, "arp": arp_frames, "ether": ether_frames}
    for kind in sys.argv[2:] or ["ip"]:
        for frame in kinds[kind](Ether(dst=mac, type=0x0800)):
            sock.send(frame)
            sent += 1
    print("sent", sent)


if __name__ == "__main__":
    main()
