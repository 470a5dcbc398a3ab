"""A million hostile inputs in five rounds of the same mixture. After the first round, when the log
is full and every kind of slot has been used, the server's resident size and its descriptors stay
where they are (256 KiB are a quarter of a byte for each input); and people can chat."""

import json
import os
import random
import re
import socket
import sys
import time

from chat import (CREATE, JOIN, JSON, LIST, TEAM_A, TEXT, Member, Refused, Server, chat_works,
                  check, connect, done, frame, read_frame, request, wait_until)

ROUNDS = 5
DATAGRAMS = 187000  # of each round
REQUESTS = 12000    # bad ones, many on a connection
BROKEN = 1500       # connections with half a request, or junk
JOINS = 300
tmp = sys.argv[1]
random.seed(1)
inputs = 0


def junk_payload():
    kinds = [b"", b"{}", b"[", b"{" * 40, b'{"message":"\\ud800"}', b'{"message":"x","seq":1}',
             b'{"sender":"system","operation":6,"seq":9007199254740991}',
             b'{"sender":"system","operation":6,"seq":0,"first":1}',
             b'{"sender":"system","operation":99}', b'{"message":"' + b"x" * 3990 + b'"}',
             b"\n" * 500, b"{}\n" * 300, b'{"message":"a"}\n' * 100, b'{"id":18446744073709551616}',
             b'{"message":"late","id":7}', b"\xff\xfe", b'{"message":"\x1b[2J"}']
    return random.choice(kinds)


def datagrams(server, member, count):
    """From strangers, and from a member who talks nonsense."""
    global inputs
    member_head = bytes([len(member.room), 32]) + member.room + member.token
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    valid = member_head + b'{"message":"hello"}'
    made = []
    for i in range(500):
        made.append(random.randbytes(random.choice((0, 1, 2, 3, 33, 64, 300, 1400))))
        made.append(bytes([random.randrange(256), random.randrange(256)]) + random.randbytes(100))
        cut = bytearray(valid)
        cut[random.randrange(len(cut))] ^= 1 << random.randrange(8)
        made.append(bytes(cut[:random.randrange(len(cut) + 1)]))
        made.append(member_head[:-1] + b"0" + junk_payload())
    mine = [member_head + junk_payload() for i in range(300)]
    for i in range(count):
        if i % 10 == 0:
            member.udp.sendto(mine[i // 10 % 300], member.to)
        else:
            stranger.sendto(made[i % 2000], member.to)
        if i % 100 == 99:
            time.sleep(0.0005)  # so that they arrive, and are not dropped at a full buffer
    stranger.close()
    inputs += count


def drain(s, until):
    """Reads answers until there are so many whole frames, or the end."""
    data, frames = b"", 0
    while frames < until:
        more = s.recv(65536)
        if not more:
            break
        data += more
        while len(data) >= 32:
            size = 32 + data[0] + int.from_bytes(data[3:32], "big")
            if len(data) < size:
                break
            data = data[size:]
            frames += 1
    return frames


def bad_requests(server, count):
    """Refused one after the other on a few connections."""
    global inputs
    kinds = [(request(JOIN, "no such room", "x", port=5000), 2), (request(LIST, "none", ""), 1),
             (request(LIST, "", ""), 1), (request(CREATE, "x", "system"), 2),
             (request(CREATE, "a\nb", "x"), 2), (frame(9, 0, "x", b"{}"), 2),
             (frame(1, 0, "x", b'{"username":1}'), 2), (frame(1, 0, "x", b"{" + b"[" * 500), 2),
             (request(JOIN, "flat", "talker", port=5000), 2),
             (request(JOIN, "flat", "x", port=5000, password="x" * 300), 2)]
    for i in range(0, count, 100):
        s = connect(server.host, server.tcp, seconds=20)
        some = [random.choice(kinds) for k in range(100)]
        s.sendall(b"".join(data for data, _ in some))
        expected = sum(frames for _, frames in some)
        got = drain(s, expected)
        if got != expected:
            check(False, "%d of %d answers" % (got, expected))
        s.close()
    inputs += count


def broken(server, count):
    global inputs
    whole = request(CREATE, "half", "half", port=5000)
    kept = []
    for i in range(count):
        s = connect(server.host, server.tcp, seconds=20)
        kind = i % 5
        try:
            if kind == 0:
                s.sendall(whole[:random.randrange(len(whole))])
            elif kind == 1:
                s.sendall(random.randbytes(random.choice((1, 31, 32, 33, 500, 5000))))
            elif kind == 2:
                s.sendall(whole[:3] + b"\xff" * 29 + b"{" * 100)
            elif kind == 3:  # gone before the answer
                s.sendall(whole)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            elif kind == 4:
                s.sendall(whole)
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        kept.append(s)
        if len(kept) > 100:
            kept.pop(0).close()
    for s in kept:
        s.close()
    inputs += count


def joins(server, count):
    global inputs
    host = Member(server.host, server.tcp, server.udp, "joins", "host", CREATE)
    for i in range(count):
        name = "m%d" % i
        try:
            m = Member(server.host, server.tcp, server.udp, "joins", name, JOIN,
                       TEAM_A if i % 300 == 0 else JSON, **({} if i % 300 == 0 else {"ocm": i % 2}))
        except Refused as e:
            check(False, "join %d is refused: %s" % (i, e))
            continue
        m.send(junk_payload())
        m.leave()
    host.leave()
    inputs += 3 * count


def crowd(server):
    """Every connection's memory is used once, whichever of them are open at the same time later."""
    some = [connect(server.host, server.tcp, seconds=20) for i in range(300)]
    for s in some:
        s.sendall(request(LIST, "none", "x" * 3900) + request(LIST, "", ""))
    for s in some:
        read_frame(s)
        read_frame(s)
        s.close()


def rest(server, at_start):
    """A connection that the peer has closed may be a turn of the server away from being closed."""
    wait_until(lambda: server.descriptors() == at_start, 15)
    return server.rss(), server.descriptors()


def main():
    began = time.monotonic()
    log = tmp + "/log"
    server = Server(tmp + "/server", "-l", "127.0.0.1/0:0", "-G", "256", "-q", log=log)
    at_start = server.descriptors()
    talker = Member(server.host, server.tcp, server.udp, "flat", "talker", CREATE, ocm=1)
    crowd(server)
    sizes = []
    for i in range(ROUNDS):
        datagrams(server, talker, DATAGRAMS)
        bad_requests(server, REQUESTS)
        broken(server, BROKEN)
        joins(server, JOINS)
        sizes.append(rest(server, at_start))
        if not check(server.alive() and chat_works(server), "a chat after round %d" % (i + 1)):
            break
    print("%d inputs in %d s; KiB and descriptors after each fifth: %s" %
          (inputs, time.monotonic() - began, sizes))
    check(inputs >= 1000000, "%d inputs are a million" % inputs)
    first, last = sizes[0], sizes[-1]
    check(last[0] <= first[0] + 256, "resident KiB: %d, then %d" % (first[0], last[0]))
    check(last[1] == at_start, "descriptors: %d at the start, then %d" % (at_start, last[1]))
    check(server.stop() == 0, "the server stops with status 0")
    with open(log) as f:
        words = f.read()
    check("cannot" not in words, "the log has no error: " + words[-300:])
    done()


main()
