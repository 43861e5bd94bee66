#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Writes the seeds of the fuzz targets: corpus/<target>/<what it is>.

Without an argument: writes them. --check: fails if a file differs from what is written here, or one is missing. Other
files of the corpus are findings, kept as libFuzzer made them; they stay.
"""
import pathlib
import struct
import sys

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


# --- packets ----------------------------------------------------------------------------------------------------------
def mac(last):
    return bytes([2, 0, 0, 0, 0, last])


def addr(text):
    return bytes(int(part) for part in text.split("."))


US, PEER, FAR, BEHIND = addr("192.0.2.1"), addr("192.0.2.9"), addr("198.51.100.9"), addr("203.0.113.9")
SILENT, LINK_BROADCAST, ALL_HOSTS = addr("192.0.2.77"), addr("192.0.2.255"), addr("224.0.0.1")
BROADCAST, ALL_HOSTS_MAC, PTP_MAC = b"\xff" * 6, bytes([1, 0, 0x5E, 0, 0, 1]), bytes([1, 0x1B, 0x19, 0, 0, 0])
OUR_MAC, PEER_MAC = mac(1), mac(9)
IP, ARP, VLAN, IPV6, PTP = 0x0800, 0x0806, 0x8100, 0x86DD, 0x88F7


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def eth(payload, kind=IP, dst=OUR_MAC, src=PEER_MAC):
    return dst + src + struct.pack("!H", kind) + payload


def arp(op, sha, sip, tha, tip, hardware=1):
    return struct.pack("!HHBBH", hardware, IP, 6, 4, op) + sha + sip + tha + tip


def ip(payload, proto, src=PEER, dst=US, ttl=64, options=b"", frag=0, length=None, ihl=None):
    options += b"\0" * (-len(options) % 4)
    words = 5 + len(options) // 4 if ihl is None else ihl
    length = 20 + len(options) + len(payload) if length is None else length
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, length, 1, frag, ttl, proto, 0) + src + dst + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def icmp(kind, code=0, rest=0, body=b""):
    message = struct.pack("!BBHI", kind, code, 0, rest) + body
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def echo(body=b"netstack"):
    return icmp(8, 0, 0x00070001, body)


def udp(payload=b"netstack", sport=9, dport=7, src=PEER, dst=US, length=None, summed=True):
    length = 8 + len(payload) if length is None else length
    message = struct.pack("!HHHH", sport, dport, length, 0) + payload
    pseudo = src + dst + struct.pack("!BBH", 0, 17, len(message))
    value = (checksum(pseudo + message) or 0xFFFF) if summed else 0
    return message[:6] + struct.pack("!H", value) + message[8:]


def udp_ip(src=PEER, dst=US, options=b"", ttl=64, **more):
    return ip(udp(src=src, dst=dst, **more), 17, src, dst, ttl, options)


def route_option(kind, pointer, body):
    return bytes([kind, 3 + len(body), pointer]) + body


def timestamp(pointer, flags, slots):
    return bytes([TIMESTAMP, 4 + slots, pointer, flags]) + bytes(slots)


RR, TIMESTAMP, LSRR, SSRR, ALERT = 7, 68, 131, 137, 148
RECORD = route_option(RR, 4, bytes(8))
# What our socket on port 9 sends to the peer's, as an error would quote it.
QUOTE = ip(udp(src=US, dst=PEER, dport=9), 17, US, PEER)
PTP_EVENT = bytes([0, 2]) + bytes(42)


# --- programs for rx: the steps in the order of its table -------------------------------------------------------------
SOURCE_ROUTE, FORWARD, VOUCHED, ARP_ACCEPT, BROADCASTS, NO_LIMITS, KNOWN_PEER, FURNISHED = (1 << i for i in range(8))
(FRAME, DELIVER, ADVANCE, SOCKET, BIND, CONNECT, SEND, RECEIVE, SET, GET, END, LINK, NEIGHBOUR, ROUTE,
 LOOK, ANSWER, FITTED, EDGE) = range(18)
AT_EDGE_IN_PLACE, AT_EDGE_COPIED = bytes([EDGE, 2]), bytes([EDGE, 4])
# Who is talked to, in the order of `places`.
(AT_PEER, AT_US, AT_LINK, AT_FAR, AT_BEHIND, AT_LO, AT_GROUP, AT_ALL, AT_NONE, AT_SILENT) = range(10)
READ_ALL, READ_ERRORS, READ_PEEK_CUT, READ_CUT = 8 | 16, 4 | 8 | 16, 1 | 2, 2


def frame(content, device=0, linear=0):
    """To a device; `linear` bytes lie in one piece, the rest in others (0: all in one)."""
    return struct.pack("<BBH", FRAME, linear * 2 + device, len(content)) + content


def fitted(content, length):
    """The first bytes of a frame, as a datagram that ends there."""
    return struct.pack("<BBH", FITTED, 0, length) + content[:length]


def deliver(*frames):
    return b"".join(frames) + bytes([DELIVER])


def burst(*contents):
    return deliver(*(frame(content) for content in contents))


def send(slot, place, port, length, more=0, control_bytes=b""):
    return struct.pack("<BBBBHHB", SEND, slot, more, place, port, length, len(control_bytes)) + control_bytes


def send_connected(length, more=0, control_bytes=b""):
    return send(1, AT_NONE, 0, length, more, control_bytes)


def receive(slot, how=READ_ALL, room=b""):
    return bytes([RECEIVE, slot, how]) + room


def set_option(slot, level, name, value):
    return struct.pack("<BBBBB", SET, slot, level, name, len(value)) + value


def set_int(slot, level, name, value):
    return set_option(slot, level, name, struct.pack("<I", value))


def named(step, slot, place, port):
    return struct.pack("<BBBH", step, slot, place, port)


def route(prefix, gateway, mtu=0):
    return struct.pack("<BBBH", ROUTE, 8 | prefix, gateway, mtu)


def look(slot=0):
    return bytes([LOOK, slot])


def control(*messages):
    """Control messages of SOL_IP."""
    return b"".join(struct.pack("<Qii", 16 + len(value), 0, kind) + value + b"\0" * (-len(value) % 8)
                    for kind, value in messages)


def program(settings, *steps):
    return bytes([settings]) + b"".join(steps)


SERVED = FURNISHED | KNOWN_PEER | NO_LIMITS
ROUTED = SERVED | SOURCE_ROUTE | FORWARD
SOL_SOCKET, SOL_IP = 0, 1
SO_REUSEADDR, SO_RCVBUF, SO_TIMESTAMPING, IP_OPTIONS, IP_MTU_DISCOVER, IP_MTU, IP_MINTTL = 2, 8, 37, 4, 10, 14, 21
SEGMENT_64 = struct.pack("<QiiH", 18, 17, 103, 64) + b"\0" * 6
IP_TOS, IP_TTL, IP_PKTINFO = 1, 2, 8
ANSWER_EACH, ANSWER_KEEP, ANSWER_ONE_AND_END, ANSWER_QUEUED = 7, 8 | 3, 16 | 1, 64 | 32


def one(content, settings=SERVED):
    return program(settings, burst(content), receive(0))


def about_ours(kind, code=0, rest=0, quote=QUOTE):
    """An ICMP error about a datagram of the connected socket, and a look into its error queue."""
    error = eth(ip(icmp(kind, code, rest, quote), 1))
    return program(SERVED, send_connected(8), burst(error), receive(1, READ_ERRORS), look(1),
                   send_connected(1400), deliver())


ARP_REQUEST = eth(arp(1, PEER_MAC, PEER, bytes(6), US), ARP, BROADCAST)
PING = eth(ip(echo(), 1))


def arp_seeds():
    yield "arp_request", program(0, burst(ARP_REQUEST))
    yield "arp_request_then_icmp_echo", program(0, burst(ARP_REQUEST), burst(PING))
    yield "arp_reply_for_waiting_datagrams", program(
        FURNISHED, send(0, AT_SILENT, 7, 32), send(0, AT_SILENT, 7, 64),
        burst(eth(arp(2, mac(0x77), SILENT, OUR_MAC, US), ARP)))
    yield "arp_probe", program(0, burst(eth(arp(1, PEER_MAC, bytes(4), bytes(6), US), ARP, BROADCAST)))
    yield "arp_gratuitous", program(ARP_ACCEPT, burst(eth(arp(2, PEER_MAC, PEER, PEER_MAC, PEER), ARP, BROADCAST)))
    yield "arp_conflict", program(0, burst(eth(arp(2, PEER_MAC, US, PEER_MAC, US), ARP, BROADCAST)))
    yield "arp_runt", program(0, burst(ARP_REQUEST[:34]))
    yield "arp_of_other_hardware", program(0, burst(eth(arp(1, PEER_MAC, PEER, bytes(6), US, 32), ARP)))
    yield "arp_reverse_reply_unsolicited", program(0, burst(eth(arp(4, PEER_MAC, PEER, OUR_MAC, US), ARP)))
    yield "arp_neighbours_beyond_the_table", program(0, *(
        burst(eth(arp(1, mac(i), addr(f"192.0.2.{i}"), bytes(6), US), ARP, BROADCAST)) for i in range(20, 36)))


def icmp_seeds():
    yield "icmp_echo_request", one(PING)
    yield "icmp_echo_request_in_pieces", program(SERVED, deliver(frame(PING, 0, 17), frame(PING, 0, 36)))
    yield "icmp_echo_request_large", one(eth(ip(echo(bytes(1400)), 1)))
    yield "icmp_echo_request_to_broadcast", one(eth(ip(echo(), 1, dst=LINK_BROADCAST), dst=BROADCAST), BROADCASTS)
    yield "icmp_echo_reply_unsolicited", one(eth(ip(icmp(0, 0, 7, b"x"), 1)))
    yield "icmp_timestamp_request", one(eth(ip(icmp(13, 0, 0x00010002, bytes(12)), 1)))
    yield "icmp_address_mask_request", one(eth(ip(icmp(17, 0, 0, bytes(4)), 1)))
    yield "icmp_shorter_than_its_header", one(eth(ip(echo()[:5], 1)))
    yield "icmp_port_unreachable", about_ours(3, 3)
    yield "icmp_host_unreachable", about_ours(3, 1)
    yield "icmp_frag_needed", about_ours(3, 4, 1400)
    yield "icmp_frag_needed_zero_mtu", about_ours(3, 4, 0)
    yield "icmp_source_quench", about_ours(4)
    yield "icmp_redirect", about_ours(5, 1, int.from_bytes(SILENT, "big"))
    routed = ip(udp(src=US, dst=BEHIND, sport=7), 17, US, BEHIND)
    yield "icmp_redirect_of_a_routed_flow", program(
        KNOWN_PEER | FURNISHED, route(1, AT_PEER), send(0, AT_BEHIND, 7, 8),
        burst(eth(ip(icmp(5, 1, int.from_bytes(SILENT, "big"), routed), 1))), send(0, AT_BEHIND, 7, 8))
    yield "icmp_time_exceeded", about_ours(11)
    yield "icmp_parameter_problem", about_ours(12, 0, 20 << 24)
    yield "icmp_quotation_cut_short", about_ours(3, 3, 0, QUOTE[:23])
    yield "icmp_quotation_claims_options", about_ours(3, 3, 0, b"\x4f" + QUOTE[1:])
    yield "icmp_error_about_an_error", about_ours(3, 3, 0, ip(icmp(3, 3, 0, QUOTE), 1, US, PEER))


    for length in (0, 1, 7, 8, 27, 28, 29, 35):
        cut = fitted(eth(ip(icmp(3, 3, 0, QUOTE), 1)), 34 + length)
        yield f"icmp_port_unreachable_of_{length}_bytes", program(SERVED, send_connected(8), deliver(cut))


def ip_seeds():
    yield "ip_record_route", one(eth(ip(echo(), 1, options=RECORD)))
    yield "ip_timestamp_option", one(eth(ip(echo(), 1, options=timestamp(5, 0, 8))))
    yield "ip_timestamp_and_address", one(eth(ip(echo(), 1, options=timestamp(5, 1, 16))))
    yield "ip_timestamp_overflow", one(eth(ip(echo(), 1, options=timestamp(9, 0xF0, 4))))
    yield "ip_router_alert", one(eth(ip(echo(), 1, options=bytes([ALERT, 4, 0, 0]))))
    yield "ip_lsrr_through_us", one(eth(ip(echo(), 1, options=route_option(LSRR, 4, FAR))), ROUTED)
    yield "ip_ssrr_through_us", one(eth(ip(echo(), 1, options=route_option(SSRR, 4, FAR))), ROUTED)
    yield "ip_lsrr_refused", one(eth(ip(echo(), 1, options=route_option(LSRR, 4, FAR))))
    yield "ip_lsrr_completed", one(eth(ip(echo(), 1, options=route_option(LSRR, 12, FAR + BEHIND))), ROUTED)
    yield "ip_lsrr_two_options", one(
        eth(ip(echo(), 1, options=route_option(LSRR, 4, FAR) + route_option(SSRR, 4, FAR))), ROUTED)
    yield "ip_options_of_every_kind", one(
        eth(ip(echo(), 1, options=route_option(LSRR, 8, FAR) + RECORD + timestamp(5, 0, 4))), ROUTED)
    yield "ip_option_length_zero", one(eth(ip(echo(), 1, options=bytes([RR, 0, 4, 0]))))
    yield "ip_option_beyond_the_header", one(eth(ip(echo(), 1, options=bytes([1, 1, RR, 40]))))
    yield "ip_options_end_the_frame", program(SERVED, deliver(
        fitted(eth(ip(b"", 17, options=RECORD + bytes([1, RR, 2]))), 48)))
    yield "ip_header_length_below_five", one(eth(ip(echo(), 1, ihl=4)))
    yield "ip_header_beyond_the_frame", one(eth(ip(b"", 1, ihl=15)))
    yield "ip_total_length_beyond_frame", one(eth(ip(echo(), 1, length=4000)))
    yield "ip_total_length_below_header", one(eth(ip(echo(), 1, length=12)))
    yield "ip_padded", one(eth(ip(echo(b""), 1)) + b"\xee" * 18)
    yield "ip_fragments", program(
        SERVED, burst(eth(ip(echo(bytes(16)), 1, frag=0x2000)), eth(ip(bytes(16), 1, frag=3))))
    yield "ip_fragment_beyond_64k", one(eth(ip(bytes(64), 1, frag=0x1FFF)))
    yield "ip_in_ip", one(eth(ip(ip(echo(), 1, length=4000), 4)))
    yield "ip_unknown_protocol", one(eth(ip(bytes(8), 200)))
    yield "ip_from_ourselves", one(eth(ip(echo(), 1, src=US)))
    yield "ip_to_all_hosts", one(eth(ip(echo(), 1, dst=ALL_HOSTS), dst=ALL_HOSTS_MAC), BROADCASTS)
    yield "ip_forwarded", one(eth(ip(udp(dst=FAR), 17, dst=FAR)), ROUTED)
    yield "ip_forwarded_ttl_one", one(eth(ip(udp(dst=FAR), 17, dst=FAR, ttl=1)), ROUTED)
    yield "ip_forwarded_with_options", one(eth(ip(echo(), 1, dst=FAR, options=RECORD)), ROUTED)
    yield "ip_forwarded_back_with_redirect", program(
        ROUTED, route(1, AT_PEER), burst(eth(ip(echo(), 1, src=SILENT, dst=BEHIND))))
    yield "ip_forwarded_too_large_for_the_route", program(
        ROUTED, route(1, AT_FAR, 600), burst(eth(ip(bytes(1000), 200, dst=BEHIND, frag=0x4000))))
    yield "ip_no_route", one(eth(ip(echo(), 1, dst=BEHIND)), ROUTED)


def udp_seeds():
    mine, to_nine, eight = (eth(udp_ip(dport=port)) for port in (7, 9, 8))
    yield "udp_to_socket", one(mine)
    yield "udp_without_checksum", one(eth(udp_ip(summed=False)))
    yield "udp_vouched_for_by_the_device", one(mine, SERVED | VOUCHED)
    yield "udp_empty", one(eth(udp_ip(payload=b"")))
    yield "udp_large_in_pieces", program(
        SERVED, deliver(frame(eth(udp_ip(payload=bytes(1400))), 0, 40)), receive(0))
    yield "udp_burst_of_one_flow", program(SERVED, burst(*[mine] * 6), receive(0), receive(0))
    yield "udp_burst_of_two_flows", program(
        SERVED, burst(mine, to_nine, mine, mine, to_nine, PING, mine), receive(0))
    # The burst behind the first is recognised by the driver, as far as it is of the flow.
    for name, way in (("in_place", AT_EDGE_IN_PLACE), ("copied", AT_EDGE_COPIED)):
        yield f"udp_flow_taken_{name}", program(
            SERVED, way, burst(mine, mine), burst(*[mine] * 4), receive(0), burst(mine, mine, to_nine, mine, PING), look())
    yield "udp_flow_taken_of_a_typed_socket", program(
        SERVED | VOUCHED, AT_EDGE_IN_PLACE, bytes([ANSWER, ANSWER_EACH]), burst(eight), burst(*[eight] * 4), burst(PING, eight))
    yield "udp_early_demux", program(SERVED, burst(to_nine), burst(to_nine), receive(1), burst(to_nine))
    yield "udp_early_demux_in_pieces", program(
        SERVED, burst(to_nine), deliver(frame(to_nine, 0, 44)), deliver(frame(to_nine, 0, 14)))
    yield "udp_beyond_the_receive_buffer", program(
        SERVED, set_int(0, SOL_SOCKET, SO_RCVBUF, 2304), burst(*[mine] * 4), look(), receive(0), burst(mine))
    yield "udp_length_beyond_ip", one(eth(udp_ip(length=400)))
    yield "udp_length_below_header", one(eth(udp_ip(length=7)))
    yield "udp_length_within_ip", one(eth(udp_ip(payload=bytes(64), length=40)))
    yield "udp_shorter_than_its_header", one(eth(ip(udp()[:6], 17)))
    for length in (0, 3, 7):
        yield f"udp_of_{length}_bytes", program(SERVED, deliver(fitted(to_nine, 34 + length)))
    yield "udp_closed_port", one(eth(udp_ip(dport=1)))
    yield "udp_closed_port_with_options", one(
        eth(udp_ip(dport=1, options=RECORD + route_option(LSRR, 8, PEER))))
    yield "udp_with_options_read", one(eth(udp_ip(options=RECORD)))
    yield "udp_to_broadcast", program(
        SERVED, bytes([SOCKET, 2]), set_int(2, SOL_SOCKET, SO_REUSEADDR, 1), set_int(0, SOL_SOCKET, SO_REUSEADDR, 1),
        named(BIND, 2, AT_NONE, 7), burst(eth(udp_ip(dst=LINK_BROADCAST), dst=BROADCAST)), receive(0))
    yield "udp_to_group", one(eth(udp_ip(dst=ALL_HOSTS), dst=ALL_HOSTS_MAC))
    yield "udp_echoed_by_lo", program(
        SERVED, send(0, AT_LO, 7, 100), send(0, AT_US, 7, 100), deliver(), receive(0), receive(0))
    yield "udp_corked", program(SERVED, *[send_connected(100, more=1)] * 3, send_connected(10), deliver())
    yield "udp_corked_large_over_lo", program(
        SERVED, *[send(0, AT_LO, 7, 3000, more=1)] * 3, send(0, AT_LO, 7, 0), deliver(), receive(0))
    yield "udp_corked_and_closed", program(SERVED, send_connected(100, more=1), bytes([END, 1, 9]))
    yield "udp_segmented", program(SERVED, send_connected(500, control_bytes=SEGMENT_64), deliver())
    yield "udp_too_long", program(
        SERVED, set_int(1, SOL_IP, IP_MTU_DISCOVER, 2), send_connected(2000), receive(1, READ_ERRORS))
    yield "udp_to_nobody", program(
        FURNISHED, send(0, AT_SILENT, 7, 32), bytes([ADVANCE, 12]), receive(0, READ_ERRORS))
    yield "udp_to_many_sent", program(SERVED, send(0, AT_LINK, 7, 8), send(0, AT_ALL, 7, 8), send(0, AT_GROUP, 7, 8))
    yield "udp_link_down_while_waiting", program(
        FURNISHED, send(0, AT_SILENT, 7, 32), bytes([LINK, 0]), bytes([LINK, 2]), send(0, AT_PEER, 7, 32))
    yield "udp_timestamped", program(
        SERVED, set_int(1, SOL_SOCKET, SO_TIMESTAMPING, 0x9E), send_connected(8), deliver(), receive(1, READ_ERRORS))
    yield "udp_socket_opened_bound_connected", program(
        KNOWN_PEER, bytes([SOCKET, 2]), named(BIND, 2, AT_US, 0), named(CONNECT, 2, AT_PEER, 9),
        send(2, AT_NONE, 0, 20), deliver(), bytes([GET, 2, SOL_IP, IP_MTU, 4]), receive(2),
        bytes([END, 2, 2, END, 2, 9]))
    yield "udp_peeked_and_cut", program(
        SERVED, burst(mine), receive(0, READ_PEEK_CUT, bytes([3, 0])), receive(0, READ_CUT, bytes([3, 20])))
    yield "udp_ttl_below_minimum", program(SERVED, set_int(0, SOL_IP, IP_MINTTL, 128), burst(mine), receive(0))
    yield "udp_sent_with_control_messages", program(
        SERVED, send(0, AT_PEER, 7, 8, more=0, control_bytes=control(
            (IP_TTL, struct.pack("<i", 9)), (IP_TOS, b"\x20\0\0\0"), (IP_PKTINFO, bytes(4) + US + bytes(4)))),
        deliver())
    yield "udp_large_over_lo", program(SERVED, send(0, AT_LO, 7, 9000), send(0, AT_LO, 7, 9000), deliver(), receive(0))
    yield "udp_disconnected", program(
        SERVED, burst(to_nine), named(CONNECT, 1, AT_PEER, 0xFFFF), burst(to_nine), look(1))
    yield "udp_closed_ports_beyond_the_icmp_limit", program(
        KNOWN_PEER, burst(*(eth(udp_ip(dport=port)) for port in range(100, 112))))
    yield "udp_answered_by_a_typed_socket", program(SERVED, bytes([ANSWER, ANSWER_EACH]), burst(*[eight] * 4))
    yield "udp_kept_by_a_typed_socket", program(SERVED, bytes([ANSWER, ANSWER_KEEP]), burst(*[eight] * 4))
    yield "udp_typed_socket_ends_itself", program(
        SERVED, bytes([ANSWER, ANSWER_ONE_AND_END]), burst(*[eight] * 4), burst(eight))
    yield "udp_queued_for_a_typed_socket", program(SERVED, bytes([ANSWER, ANSWER_QUEUED]), burst(*[eight] * 4))
    yield "udp_sent_with_options", program(
        SERVED, set_option(1, SOL_IP, IP_OPTIONS, RECORD + b"\0"), send_connected(8))


def ethernet_seeds():
    yield "ethernet_vlan_tagged", one(eth(struct.pack("!HH", 5, IP) + ip(echo(), 1), VLAN))
    yield "ethernet_802_3", one(eth(bytes([0xAA, 0xAA, 3, 0, 0, 0, 8, 0]) + ip(echo(), 1), 60))
    yield "ethernet_for_somebody_else", one(eth(ip(echo(), 1), dst=mac(0x42)))
    yield "ethernet_runt", one(PING[:11])
    yield "ethernet_ipv6", one(eth(bytes([0x60]) + bytes(39), IPV6))
    yield "ethernet_ptp_event", one(eth(PTP_EVENT, PTP, PTP_MAC))


def rx_seeds():
    for seeds in (arp_seeds, icmp_seeds, ip_seeds, udp_seeds, ethernet_seeds):
        yield from seeds()


# --- parsers: bare packets, each from its own header on ---------------------------------------------------------------
TCP_SYN_OPTIONS = bytes([2, 4, 5, 0xB4, 4, 2, 8, 10]) + bytes(8) + bytes([1, 3, 3, 7])


def tcp(offset_words, flags, urgent=0, options=b""):
    return struct.pack("!HHIIBBHHH", 9, 80, 1, 0, offset_words << 4, flags, 1000, 0, urgent) + options


def igmp_v3_query(code, sources, count=None):
    count = len(sources) if count is None else count
    return struct.pack("!BBH4sBBH", 0x11, code, 0, addr("224.1.1.1"), 10, 125, count) + b"".join(sources)


def parser_seeds():
    yield "ethernet_ip_udp", eth(udp_ip())
    yield "ethernet_vlan_ptp", eth(struct.pack("!HH", 5, PTP) + PTP_EVENT, VLAN)
    yield "ethernet_ptp", eth(PTP_EVENT, PTP)
    yield "ethernet_ptp_over_udp", eth(udp_ip(dport=319, payload=PTP_EVENT))
    yield "ethernet_ipv6_udp", eth(struct.pack("!IHBB", 0x60000000, 16, 17, 64) + bytes(32) + udp(), IPV6)
    yield "arp_request", arp(1, PEER_MAC, PEER, bytes(6), US)
    yield "arp_reply_over_802", arp(2, PEER_MAC, PEER, OUR_MAC, US, 6)
    yield "ip_without_options", ip(echo(), 1)
    yield "ip_lsrr_two_options", ip(echo(), 1, options=route_option(LSRR, 4, FAR) * 2)
    yield "ip_options_of_every_kind", ip(
        echo(), 1, options=route_option(SSRR, 4, FAR) + RECORD + timestamp(5, 0, 4) + bytes([ALERT, 4, 0, 0]))
    yield "ip_option_length_zero", ip(echo(), 1, options=bytes([RR, 0, 4, 0]))
    yield "ip_options_alone", route_option(RR, 4, bytes(12)) + bytes([1, 134, 6]) + bytes(4) + b"\0"
    yield "icmp_echo_request", echo()
    yield "icmp_redirect", icmp(5, 1, 0xC0000209, QUOTE)
    yield "igmp_v2_query", struct.pack("!BBH", 0x11, 100, 0) + ALL_HOSTS
    yield "igmp_v3_query", igmp_v3_query(255, [FAR, BEHIND])
    yield "igmp_v3_query_more_sources_than_there_are", igmp_v3_query(128, [], 60000)
    yield "udp_datagram", udp()
    yield "tcp_syn", tcp(6, 2, 0, bytes([2, 4, 5, 0xB4]))
    yield "tcp_syn_with_every_option", tcp(10, 2, 0, TCP_SYN_OPTIONS)
    yield "tcp_sack_cut_short", tcp(8, 0x10, 0, bytes([1, 1, 5, 10]) + bytes(6) + bytes([5, 7]))
    yield "tcp_data_offset_beyond_the_segment", tcp(15, 0x3F, 0xFFFF)
    yield "text_mac", b"02:00:5e:10:00:01"
    yield "text_ipv4", b"192.0.2.255"
    yield "text_prefix", b"198.51.100.0/24"
    yield "text_prefix_too_long", b"198.51.100.0/33"


# --- pcap: capture files. The device that replays them is 203.0.113.1, 02:00:00:00:00:01 ------------------------------
def pcap_file(*frames, magic=0xA1B23C4D, link=1, order="<", times=None, missing=0):
    out = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, link)
    for i, content in enumerate(frames):
        ns = times[i] if times else i * 1000
        kept = content[:len(content) - missing]
        out += struct.pack(order + "IIII", 1_700_000_000, ns, len(kept), len(content)) + kept
    return out


def pcapng_block(kind, body):
    body += b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def pcapng_file(*frames, link=1, comment=b""):
    out = pcapng_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += pcapng_block(1, struct.pack("<HHI", link, 0, 65535) + struct.pack("<HHB3xI", 9, 1, 9, 0))
    for i, content in enumerate(frames):
        packet = struct.pack("<IIIII", 0, 0, i * 1000, len(content), len(content)) + content
        packet += b"\0" * (-len(packet) % 4)
        if comment:
            packet += struct.pack("<HH", 1, len(comment)) + comment + b"\0" * (-len(comment) % 4) + bytes(4)
        out += pcapng_block(6, packet)
    return out


def pcap_seeds():
    us, peer = addr("203.0.113.1"), addr("203.0.113.9")
    request = eth(arp(1, PEER_MAC, peer, bytes(6), us), ARP, BROADCAST)
    bare = ip(echo(), 1, peer, us)
    ping, wrong = eth(bare), eth(ip(bytes(8), 200, peer, us))
    yield "pcap_arp_then_icmp_echo", pcap_file(request, ping)
    yield "pcap_microseconds", pcap_file(request, ping, magic=0xA1B2C3D4)
    yield "pcap_big_endian", pcap_file(request, ping, order=">")
    yield "pcap_bare_ip", pcap_file(bare, link=101)
    yield "pcap_other_link_type", pcap_file(ping, link=113)
    yield "pcap_frames_cut_when_captured", pcap_file(ping, ping, missing=10)
    yield "pcap_without_frames", pcap_file()
    yield "pcap_header_alone", pcap_file()[:20]
    yield "pcap_record_cut_short", pcap_file(request, ping)[:-9]
    yield "pcap_longer_than_a_frame_of_the_pool", pcap_file(request, eth(ip(echo(bytes(3000)), 1, peer, us)))
    yield "pcap_clock_set_back", pcap_file(request, ping, ping, times=(900_000_000, 0, 500_000_000))
    yield "pcap_rejected_frames", pcap_file(request, wrong, ping[:20], ping[:9], wrong)
    yield "pcapng_arp_then_icmp_echo", pcapng_file(request, ping)
    yield "pcapng_with_comments", pcapng_file(request, wrong, ping, comment=b"kept for its comment")
    yield "pcapng_bare_ip", pcapng_file(bare, link=101)
    yield "pcapng_block_cut_short", pcapng_file(request, ping)[:-20]
    yield "no_capture_at_all", b"netstack\n" * 4


# --- sysctl: lines of path=text; a number is that path of the sorted list; @ is the other namespace -------------------
def lines(*texts):
    return "".join(text + "\n" for text in texts).encode()


def every(text):
    return lines(*(f"{i}={text}" for i in range(300)))


def sysctl_seeds():
    ipv4 = "net/ipv4/"
    yield "ip_default_ttl", lines(*(f"{ipv4}ip_default_ttl={text}" for text in ("65", "0", "0x40", "0100", "256")))
    yield "port_range", lines(*(f"{ipv4}ip_local_port_range={text}" for text in ("1024 65535", "9 1", "1\t2\t3")))
    yield "reserved_ports", lines(
        *(f"{ipv4}ip_local_reserved_ports={text}" for text in ("1,7-9,1000-2000,65535", "", "9-7", "65536", ",")))
    yield "udp_memory", lines(f"{ipv4}udp_mem=10\t20\t30", f"{ipv4}udp_mem=1 2 3 4")
    yield "device_forwarding", lines(
        f"{ipv4}conf/eth0/forwarding=1", f"{ipv4}conf/all/forwarding=1", f"{ipv4}conf/lo/rp_filter=2")
    yield "device_that_is_not_there", lines(
        f"{ipv4}conf/eth9/forwarding=1", f"{ipv4}conf//forwarding=1", f"{ipv4}conf/*/forwarding=1")
    yield "neighbour_times", lines(
        f"{ipv4}neigh/eth1/base_reachable_time_ms=100", f"{ipv4}neigh/default/gc_thresh3=0")
    yield "route_flush", lines(f"{ipv4}route/flush=1")
    yield "icmp_and_arp_off", lines(f"{ipv4}icmp_echo_ignore_all=1", f"{ipv4}conf/all/arp_ignore=8")
    yield "not_a_number", lines("0=99999999999999999999", "1=0x", "2=08", "3= ", "4=-", "5=1 ", "6")
    yield "other_namespace", lines(
        f"@{ipv4}ip_default_ttl=9", f"@{ipv4}conf/all/forwarding=1", "@net/core/somaxconn=5")
    yield "every_setting_zero", every("0")
    yield "every_setting_one", every("1")
    yield "every_setting_large", every("2147483647")


# --- tcp: a peer's segments, whose numbers count from what is expected next, calls and time ---------------------------
(TCP_ACTIVE, TCP_STAMPS, TCP_SACK, TCP_SCALE, TCP_WRAP, TCP_SMALL, TCP_AT_EDGE_IN_PLACE, TCP_AT_EDGE_COPIED) = (1 << i for i in range(8))
(FIN, SYN, RST, PSH, ACK, URG) = (1 << i for i in range(6))
(SEGMENT, HONEST, WRITE, READ, FINISH, TIME, SET_OPTION, ERROR, ADOPT) = range(9)


def segment(flags, seq=0, ack=0, window=30000, data=None, urgent=None, options=None, sacks=None):
    how = (data is not None) * 4 + (urgent is not None) * 8 + (options is not None) * 16 + (sacks is not None) * 32
    out = struct.pack("<BBBhhH", SEGMENT, how, flags, seq, ack, window)
    out += b"" if data is None else struct.pack("<H", data)
    out += b"" if urgent is None else struct.pack("<H", urgent)
    if options is not None:
        return out + bytes([len(options)]) + options
    if sacks is not None:
        out += bytes([1, len(sacks)]) + b"".join(struct.pack("<hH", *block) for block in sacks)
    return out


def honest(words=0):
    return bytes([HONEST, words])


def write(n, more=0):
    return struct.pack("<BHB", WRITE, n, more)


def read(sixteens):
    return bytes([READ, sixteens])


def finish(how):
    return bytes([FINISH, how])


def passes(shift):
    return bytes([TIME, shift])


def tcp_program(settings, *steps, more=0):
    return bytes([settings, more]) + b"".join(steps)


CLOSE, SHUT_WRITE, ABORT = 3, 1, 128 | 3


def tcp_seeds():
    plain, modern = 0, TCP_STAMPS | TCP_SACK | TCP_SCALE
    yield "tcp_data_in_order", tcp_program(plain, honest(10), read(20), honest(100), read(254), passes(6))
    for name, way in (("in_place", TCP_AT_EDGE_IN_PLACE), ("copied", TCP_AT_EDGE_COPIED)):
        yield f"tcp_flow_taken_{name}", tcp_program(
            modern | way, *[honest(10)] * 4, read(254), write(100), honest(10), segment(ACK, 160, data=160), honest(10), read(254))
    yield "tcp_data_peeked_from_an_offset", tcp_program(
        plain, struct.pack("<BBBh", SET_OPTION, 0, 42, 5), honest(100), read(17), read(17), read(16), read(17))
    yield "tcp_fin_belied_by_data", tcp_program(
        plain, segment(FIN | ACK, 1), segment(ACK, 0, data=248), read(16), honest(3), read(16))
    yield "tcp_data_out_of_order", tcp_program(
        TCP_SACK, segment(ACK, 100, data=50), segment(ACK, 300, data=50), segment(ACK, 50, data=300), honest(8), read(254))
    yield "tcp_data_overlapping_and_wrapping", tcp_program(
        TCP_SACK | TCP_WRAP, *(segment(ACK, 200 - 30 * i, data=100) for i in range(8)), read(254))
    yield "tcp_data_beyond_a_small_window", tcp_program(
        TCP_SMALL, *[honest(150)] * 12, segment(ACK, 5000, data=1000), read(254), read(254), passes(9))
    yield "tcp_every_second_byte", tcp_program(TCP_SACK, *(segment(ACK, 1 + 2 * i, data=1) for i in range(40)), honest(20))
    yield "tcp_written_and_acknowledged", tcp_program(modern, write(4000), honest(), honest(), write(100), passes(9))
    yield "tcp_written_and_lost", tcp_program(modern, write(4000), passes(8), passes(9), honest(), passes(10))
    yield "tcp_sack_of_what_was_sent", tcp_program(
        modern, write(4000), *[segment(ACK, 0, -4000, sacks=[(-2600, 1448)])] * 4, passes(8), honest())
    yield "tcp_sack_backwards_and_beyond", tcp_program(
        modern, write(4000), segment(ACK, 0, -4000, sacks=[(100, 9000), (-100, 0), (-30000, 40000)]), honest())
    yield "tcp_sack_panic_tiny_mss", tcp_program(
        TCP_SACK, segment(SYN, options=bytes([2, 4, 0, 48, 4, 2, 1, 1])), honest(), bytes([ADOPT]), write(4000),
        segment(ACK, 0, -2000, options=bytes([1, 1, 5, 10]) + bytes(8)), passes(9), more=1)
    for length in (0, 1, 3, 255):
        yield f"tcp_syn_with_mss_of_length_{length}", tcp_program(
            plain, segment(SYN, options=bytes([2, length, 5, 0xB4])), honest(), bytes([ADOPT]), honest(9), more=1)
    yield "tcp_syn_with_scale_cut_short", tcp_program(plain, segment(SYN, options=bytes([1, 1, 1, 3])), more=1)
    yield "tcp_urgent_beyond_the_data", tcp_program(plain, segment(ACK | URG, data=1, urgent=0xFFFF), read(17), read(16))
    yield "tcp_urgent_of_nothing", tcp_program(plain, segment(ACK | URG, urgent=0), segment(ACK | URG, data=9, urgent=3), read(16))
    yield "tcp_ack_of_what_was_never_sent", tcp_program(plain, write(100), segment(ACK, 0, 1), segment(ACK, 0, 30000, data=5))
    yield "tcp_ack_too_old", tcp_program(plain, segment(ACK, 0, -32000, data=5), segment(ACK, 0, -1, data=5), read(16))
    yield "tcp_window_closed_and_probed", tcp_program(
        plain, segment(ACK, window=0), write(2000), passes(8), passes(9), segment(ACK, window=100), passes(10), honest())
    yield "tcp_window_taken_back", tcp_program(plain, write(4000), segment(ACK, 0, -3000, window=10), passes(9), honest())
    for place, seq in (("exact", 0), ("in_the_window", 5), ("outside", -5)):
        yield f"tcp_rst_{place}", tcp_program(plain, write(10), segment(RST, seq), read(16), honest(3))
        yield f"tcp_syn_{place}", tcp_program(plain, segment(SYN, seq), honest(3), read(16))
    yield "tcp_fin_and_late_data", tcp_program(
        plain, segment(FIN | ACK, data=10), read(16), segment(ACK, -5, data=20), segment(ACK, 0, data=20), read(16), finish(CLOSE))
    yield "tcp_fin_out_of_order", tcp_program(TCP_SACK, segment(FIN | ACK, 8, data=8), honest(1), read(16), finish(CLOSE))
    yield "tcp_closed_by_us", tcp_program(plain, finish(CLOSE), honest(), segment(FIN | ACK), segment(FIN | ACK, -1), passes(16))
    yield "tcp_closed_by_both", tcp_program(modern, finish(SHUT_WRITE), segment(FIN | ACK, 0, -1), honest(), finish(CLOSE))
    yield "tcp_aborted", tcp_program(plain, write(500), finish(ABORT), honest(5))
    yield "tcp_data_for_nobody", tcp_program(plain, finish(CLOSE), honest(5))
    yield "tcp_new_connection_from_time_wait", tcp_program(
        TCP_STAMPS, finish(CLOSE), honest(), segment(FIN | ACK), segment(SYN, 30000), honest(), bytes([ADOPT]), honest(5), read(16))
    yield "tcp_connect", tcp_program(TCP_ACTIVE | modern, write(100), honest(5), read(16), finish(CLOSE))
    yield "tcp_connect_both_at_once", tcp_program(
        TCP_ACTIVE, segment(SYN), segment(SYN | ACK, -1), honest(5), read(16), more=1)
    yield "tcp_connect_refused", tcp_program(TCP_ACTIVE, segment(RST | ACK), read(16), more=1)
    yield "tcp_connect_reset_by_a_stranger", tcp_program(TCP_ACTIVE, segment(RST | ACK, 0, 5), segment(ACK, 0, 0), more=1)
    yield "tcp_icmp_frag_needed", tcp_program(modern, write(4000), struct.pack("<BBBHh", ERROR, 1, 4, 600, -4000), passes(9), honest())
    yield "tcp_icmp_out_of_the_window", tcp_program(plain, write(10), struct.pack("<BBBHh", ERROR, 1, 3, 0, -4000), honest(5))
    yield "tcp_icmp_port_unreachable", tcp_program(TCP_ACTIVE, struct.pack("<BBBHh", ERROR, 1, 3, 0, -1), read(16), more=1)
    yield "tcp_keepalive", tcp_program(
        plain, struct.pack("<BBBh", SET_OPTION, 2, 4, 2), struct.pack("<BBBh", SET_OPTION, 0, 9, 1), passes(12), passes(14))


# --- tcp_pair: what two applications do, and what the wire does to their frames ---------------------------------------
(PAIR_WRITE, PAIR_READ, PAIR_MOVE, PAIR_LOSE, PAIR_OVERTAKE, PAIR_TWICE, PAIR_TIME, PAIR_STOP, PAIR_ADOPT) = range(9)
EVERY_OPTION = 0b00111111
MERGED, CUT = 2, 4  # how frames arrive and leave: GRO, GSO


def tcp_pair_seeds():
    def say(side, n):
        return struct.pack("<BBHB", PAIR_WRITE, side, n, 0)

    def move(side, n=31):
        return bytes([PAIR_MOVE, side, n])

    def later(shift):
        return bytes([PAIR_TIME, shift])

    opened = move(0) + move(1) + move(0) + bytes([PAIR_ADOPT])
    both = opened + say(0, 5000) + say(1, 5000) + (move(0) + move(1)) * 4
    for name, settings in (("plain", 0x80), ("modern", EVERY_OPTION), ("small_buffer", EVERY_OPTION | 64)):
        yield f"pair_{name}", bytes([settings, 0]) + both
        yield f"pair_{name}_first_segment_lost", bytes([settings, 0]) + opened + say(0, 5000) + (
            bytes([PAIR_LOSE, 0, 0]) + move(0) + move(1) + later(8)) + both
        yield f"pair_{name}_overtaken", bytes([settings, 0]) + opened + say(0, 5999) + (
            bytes([PAIR_OVERTAKE, 0, 3]) + move(1)) * 6 + both
        yield f"pair_{name}_twice", bytes([settings, 0]) + opened + say(0, 5999) + bytes([PAIR_TWICE, 0, 1] * 3) + both
    for name, how in (("merged", MERGED), ("cut", CUT), ("merged_and_cut", MERGED | CUT)):
        yield f"pair_{name}", bytes([EVERY_OPTION, how]) + both * 3
        yield f"pair_{name}_overtaken", bytes([EVERY_OPTION, how]) + opened + say(0, 5999) * 2 + (
            bytes([PAIR_OVERTAKE, 0, 3]) + move(0) + move(1)) * 4 + both
        yield f"pair_{name}_lost", bytes([EVERY_OPTION, how]) + opened + say(0, 5999) * 2 + (
            bytes([PAIR_LOSE, 0, 2]) + move(0) + move(1) + later(6)) * 4 + both
    yield "pair_small_frames", bytes([EVERY_OPTION, 1]) + both
    yield "pair_syn_lost", bytes([EVERY_OPTION, 0, PAIR_LOSE, 0, 0]) + later(8) * 5 + both
    yield "pair_last_ack_lost", bytes([EVERY_OPTION, 0]) + move(0) + move(1) + bytes([PAIR_LOSE, 0, 0]) + say(0, 100) + both
    yield "pair_one_side_ends", bytes([EVERY_OPTION, 0]) + opened + bytes([PAIR_STOP, 0, 0]) + both
    yield "pair_nobody_reads", bytes([EVERY_OPTION | 64, 0]) + opened + (say(0, 5999) + move(0) + move(1)) * 8 + later(8) * 6


SEEDS = {"rx": rx_seeds, "parsers": parser_seeds, "pcap": pcap_seeds, "sysctl": sysctl_seeds, "tcp": tcp_seeds,
         "tcp_pair": tcp_pair_seeds}


def main():
    check = sys.argv[1:] == ["--check"]
    wrong = 0
    for target, seeds in SEEDS.items():
        for name, content in seeds():
            path = CORPUS / target / name
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            elif not path.exists() or path.read_bytes() != content:
                print(f"{path}: not what seeds.py says; run it without arguments")
                wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
