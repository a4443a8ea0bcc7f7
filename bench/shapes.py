"""The shapes of traffic.py: other protocols, prefixes, input ports and numbers of masks than the five scenarios have."""
import struct
from ipaddress import IPv6Address

# The output is port 2.
INPUTS = (1, 3, 4, 5)
DST_MAC = b"\x02\0\0\0\0\x02"
SRC_MAC = b"\x02\0\0\0\0\x01"
REWRITE = "mod_dl_dst:02:00:00:00:%02x:%02x,dec_ttl,output:2"


def ip4(n):
    return "%d.%d.%d.%d" % (n >> 24, n >> 16 & 255, n >> 8 & 255, n & 255)


def cut(address, length, width=32):
    """The network of an address."""
    return address >> (width - length) << (width - length) if length else 0


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def l4(protocol, sport, dport, payload):
    if protocol == 17:
        return struct.pack("!HHHH", sport, dport, 8 + payload, 0) + bytes(payload)
    return struct.pack("!HHIIBBHHH", sport, dport, 1, 1, 0x50, 0x10, 8192, 0, 0) + bytes(payload)


def frame4(src, dst, sport, dport, protocol=17, tag=b"", payload=18):
    rest = l4(protocol, sport, dport, payload if protocol == 17 else payload - 12)
    ip = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(rest), 0, 0, 64, protocol, 0, src, dst)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return DST_MAC + SRC_MAC + tag + b"\x08\0" + ip + rest


def frame6(src, dst, sport, dport, payload=18):
    rest = l4(17, sport, dport, payload)
    ip = struct.pack("!IHBB", 6 << 28, len(rest), 17, 64) + src.to_bytes(16, "big") + dst.to_bytes(16, "big")
    pseudo = ip[8:40] + struct.pack("!II", len(rest), 17)
    # IPv6 knows no UDP without checksum (RFC 8200, section 8.1).
    rest = rest[:6] + struct.pack("!H", checksum(pseudo + rest) or 0xFFFF) + rest[8:]
    return DST_MAC + SRC_MAC + b"\x86\xdd" + ip + rest


def ports(rng):
    return rng.randrange(1024, 65535), rng.randrange(1, 1024)


def ipv6(rng, count, _):
    base = 0x20010DB8 << 96
    seen = set()
    while len(seen) < 1024:
        length = rng.randrange(36, 65)
        seen.add((cut(base | rng.randrange(1 << 24) << 72 | rng.randrange(1 << 8) << 64, length, 128), length))
    nets = sorted(seen)
    rules = ["priority=%d,ipv6,in_port=1,ipv6_dst=%s/%d,actions=%s" % (length, IPv6Address(net), length, REWRITE % (i >> 8, i & 255))
             for i, (net, length) in enumerate(nets)]
    for _ in range(100):
        length = rng.randrange(40, 49)
        net = cut((0x20010DB9 << 96) | rng.randrange(1 << 16) << 80, length, 128)
        rules.append("priority=300,udp6,in_port=1,tp_dst=%d,ipv6_src=%s/%d,actions=drop" % (rng.randrange(1, 1024), IPv6Address(net), length))
    rules.append("priority=1,ipv6,in_port=1,actions=output:2")
    frames = []
    for _ in range(count):
        src = (0x20010DB9 << 96) | rng.randrange(1 << 16) << 80 | rng.randrange(1 << 16)
        dst = rng.choice(nets)[0] | rng.randrange(1 << 24) if rng.randrange(4) else base | rng.randrange(1 << 24) << 72
        frames.append(frame6(src, dst, *ports(rng)))
    return rules, {1: frames}


def vlan(rng, count, _):
    rules = []
    for i in range(64):
        vid = 100 + i
        if i % 4 == 3:
            rules.append("priority=200,in_port=1,dl_vlan=%d,actions=drop" % vid)
            continue
        for j in range(4):
            length = rng.randrange(12, 25)
            net = cut(0x0B000000 | rng.randrange(1 << 24), length)
            rules.append("priority=%d,ip,in_port=1,dl_vlan=%d,nw_dst=%s/%d,actions=mod_vlan_vid:%d,%s"
                         % (100 + length, vid, ip4(net), length, 1000 + i, REWRITE % (i, j)))
        rules.append("priority=50,in_port=1,dl_vlan=%d,actions=%s" % (vid, "strip_vlan,output:2" if i % 4 else "mod_vlan_pcp:5,output:2"))
    rules.append("priority=10,in_port=1,vlan_tci=0,actions=mod_vlan_vid:999,output:2")
    frames = []
    for _ in range(count):
        tag = struct.pack("!HH", 0x8100, rng.randrange(8) << 13 | 100 + rng.randrange(64)) if rng.randrange(8) else b""
        frames.append(frame4(0x0A000000 + rng.randrange(1 << 20), 0x0B000000 + rng.randrange(1 << 24), *ports(rng), tag=tag))
    return rules, {1: frames}


def prefixes(rng, count, _):
    pairs = []
    for _ in range(4096):
        (s, d) = (rng.randrange(8, 33), rng.randrange(8, 33))
        pairs.append((cut(0x0A000000 | rng.randrange(1 << 24), s), s, cut(0x0B000000 | rng.randrange(1 << 24), d), d))
    pairs.sort(key=lambda pair: pair[1] + pair[3])
    # Overlapping rules with other actions: each has a priority of its own, more specific ones the higher.
    rules = ["priority=%d,%s,in_port=1,nw_src=%s/%d,nw_dst=%s/%d,actions=%s"
             % (10 + i, ("tcp", "udp")[i % 2], ip4(src), s, ip4(dst), d, "drop" if i % 8 == 0 else REWRITE % (i >> 8, i & 255))
             for i, (src, s, dst, d) in enumerate(pairs)]
    rules.append("priority=1,ip,in_port=1,actions=output:2")
    frames = []
    for _ in range(count):
        src, s, dst, d = rng.choice(pairs)
        frames.append(frame4(src | rng.randrange(1 << (32 - s)), dst | rng.randrange(1 << (32 - d)), *ports(rng),
                             protocol=rng.choice((6, 17))))
    return rules, {1: frames}


def several_ports(rng, count, _):
    rules, made = [], {}
    for port in INPUTS:
        for i in range(256):
            length = rng.randrange(12, 29)
            net = cut(0x0B000000 | rng.randrange(1 << 24), length)
            rules.append("priority=%d,ip,in_port=%d,nw_dst=%s/%d,actions=%s" % (10 + length, port, ip4(net), length, REWRITE % (port, i)))
        rules.append("priority=1,in_port=%d,actions=output:2" % port)
        made[port] = [frame4(0x0A000000 + rng.randrange(1 << 20), 0x0B000000 + rng.randrange(1 << 24), *ports(rng))
                      for _ in range(max(1, count // len(INPUTS)))]
    return rules, made


def masks(rng, count, number):
    """`number` pairs of a source and a destination prefix length. Each length has a /8 of its own and no prefix within another,
    so that a packet's flow needs just these two lengths."""
    rows = max(1, int(number ** 0.5))
    while number % rows:
        rows -= 1
    columns = number // rows
    if columns > 24 or not 1 <= number <= 400:
        raise SystemExit("traffic.py: --masks %d: give a number up to 400 that is a product of two numbers up to 24" % number)
    sources = [(9 + i, (20 + i) << 24) for i in range(rows)]
    destinations = [(9 + i, (60 + i) << 24) for i in range(columns)]
    rules, pairs = [], []
    for i, (s, src) in enumerate(sources):
        for j, (d, dst) in enumerate(destinations):
            for n in range(8):
                pair = (cut(src | rng.randrange(1 << 24), s), s, cut(dst | rng.randrange(1 << 24), d), d)
                pairs.append(pair)
                rules.append("priority=100,ip,in_port=1,nw_src=%s/%d,nw_dst=%s/%d,actions=%s"
                             % (ip4(pair[0]), s, ip4(pair[2]), d, "drop" if n == 7 else REWRITE % (i, j)))
    rules.append("priority=1,in_port=1,actions=output:2")
    frames = []
    for i in range(count):
        src, s, dst, d = pairs[i * 8 % len(pairs) + rng.randrange(8)]
        frames.append(frame4(src | rng.randrange(1 << (32 - s)), dst | rng.randrange(1 << (32 - d)), *ports(rng)))
    return rules, {1: frames}


# 2,048 source and 2,048 destination ports from here.
EXACT_PORT = 4096
EXACT_BITS = 11


def rules_exact():
    """Each value of both ports has a rule, so no prefix of a port is enough to tell a packet from its neighbour."""
    values = range(EXACT_PORT, EXACT_PORT + (1 << EXACT_BITS))
    return (["table=0,priority=10,udp,in_port=1,tp_src=%d,actions=resubmit(,1)" % n for n in values]
            + ["table=1,priority=10,udp,tp_dst=%d,actions=output:2" % n for n in values])


def write_many(path, count, rng):
    """Frames that differ in their pair of ports (and, for routes, in their addresses), written by column: millions of them."""
    if not 1 <= count <= 1 << (2 * EXACT_BITS):
        raise SystemExit("traffic.py: --flows %d: exact and routed have 1 to %d" % (count, 1 << (2 * EXACT_BITS)))
    low = (1 << EXACT_BITS) - 1
    block = 1 << 16
    # Odd steps visit each number of the cycle once, in an order without a pattern that a hash could profit from.
    step, at = 2 * rng.randrange(1 << 19, 1 << 20) + 1, 0
    destinations = [0x0B000000 + rng.randrange(1 << 24) for _ in range(1024)]
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        while count:
            some = min(block, count)
            records = [struct.pack("<IIII", 0, 0, 60, 60) + frame4(0x0A000001, dst, 0, 0) for dst in destinations]
            size = len(records[0])
            buffer = bytearray(b"".join(records) * (some // len(records) + 1))[:some * size]
            numbers = [(at + i) * step & (1 << 2 * EXACT_BITS) - 1 for i in range(some)]
            sport = [EXACT_PORT + (n & low) for n in numbers]
            dport = [EXACT_PORT + (n >> EXACT_BITS) for n in numbers]
            first = 16 + 34
            for offset, column in ((0, sport), (2, dport)):
                buffer[first + offset::size] = bytes(n >> 8 for n in column)
                buffer[first + offset + 1::size] = bytes(n & 255 for n in column)
            out.write(buffer)
            at, count = at + some, count - some


SHAPES = {"ipv6": ipv6, "vlan": vlan, "prefixes": prefixes, "ports": several_ports, "masks": masks}


def make(shape, rng, count, number_of_masks):
    """Rules, and frames by input port."""
    return SHAPES[shape](rng, count, number_of_masks)


def beside(path, port):
    """Where the frames of another port than 1 are."""
    stem, dot, end = path.rpartition(".")
    return "%s-%d%s%s" % ((stem, port, dot, end) if dot else (path, port, "", ""))


def stamp(frame, number, turn):
    """Number and pass in the last 6 bytes of the payload; an IPv6 UDP checksum follows."""
    new = frame[:-6] + struct.pack("!IH", number, turn)
    if frame[12:14] == b"\x86\xdd":
        head, rest = new[:54], new[54:]
        pseudo = head[22:54] + struct.pack("!II", len(rest), 17)
        rest = rest[:6] + b"\0\0" + rest[8:]
        new = head + rest[:6] + struct.pack("!H", checksum(pseudo + rest) or 0xFFFF) + rest[8:]
    return new
