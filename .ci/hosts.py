"""A server and other hosts, each in a network namespace of its own, joined by a bridge.

    server .1 and .2    an .11    ben .12    cy .13 (a stranger)    slow: a link of its own"""

import json
import os
import select
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

from chat import (At, CREATE, JOIN, JSON, LIST, TEAM_A, TEXT, Member, Refused, Server, chat_works,
                  check, connect, done, inside, new_room, read_frame, request, wait_until)

tmp = sys.argv[1]
server_program, client_program = tmp + "/server", tmp + "/client"
ID = "o%d" % os.getpid()
S, A, B, C, SLOW, HUB = ["%s%s" % (ID, x) for x in ("s", "a", "b", "c", "d", "h")]
V4 = {S: ["10.77.0.1", "10.77.0.2"], A: ["10.77.0.11"], B: ["10.77.0.12"], C: ["10.77.0.13"]}
V6 = {S: ["fd77::1", "fd77::2"], A: ["fd77:0:0:a::11"], B: ["fd77:0:0:b::12"],
      C: ["fd77:0:0:c::13"]}
TCP, UDP = 8000, 9000


def ip(namespace, *words):
    command = ["ip"] + (["-n", namespace] if namespace else []) + " ".join(words).split()
    subprocess.run(command, check=True)


def make_hosts():
    for n in (S, A, B, C, SLOW, HUB):
        ip(None, "netns add", n)
        ip(n, "link set lo up")
    ip(HUB, "link add name bridge0 type bridge")
    ip(HUB, "link set bridge0 up")
    for n in (S, A, B, C):
        ip(HUB, "link add name", n, "type veth peer name eth netns", n)
        ip(HUB, "link set", n, "master bridge0 up")
        for a in V4[n]:
            ip(n, "addr add", a + "/24 dev eth")
        for a in V6[n]:
            ip(n, "addr add", a + "/32 dev eth nodad")
        ip(n, "link set eth up")
    ip(S, "link add name slow type veth peer name eth netns", SLOW)
    ip(S, "addr add 10.78.0.1/24 dev slow")
    ip(SLOW, "addr add 10.78.0.2/24 dev eth")
    ip(S, "link set slow up")
    ip(SLOW, "link set eth up")


def drop_hosts():
    for n in (S, A, B, C, SLOW, HUB):
        subprocess.run(["ip", "netns", "del", n], stderr=subprocess.DEVNULL)


def tc(namespace, *words):
    command = ["ip", "netns", "exec", namespace, "tc"] + " ".join(words).split()
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


def server(*args):
    return Server(server_program, *(args or ("-l", "8000:9000")), namespace=S, log=tmp + "/log")


def member(host, room, name, op=JOIN, at=A, **keys):
    return Member(host, TCP, UDP, room, name, op, namespace=at, **keys)


def status(host, room, name, op=JOIN, at=A, **keys):
    """What a request is answered with; who gets in stays in."""
    try:
        stay.append(member(host, room, name, op, at, **keys))
        return 200
    except Refused as e:
        return e.args[0]


stay = []


# ---- A second address ----


def link_local(n):
    show = "-6 -o addr show dev eth scope link".split()
    text = subprocess.run(["ip", "-n", n] + show, capture_output=True).stdout.decode()
    return text.split()[3].split("/")[0] if text else None


def second_address():
    ll = link_local(S)
    wait_until(lambda: not subprocess.run(["ip", "-n", S, "-6", "addr", "show", "tentative"],
                                          capture_output=True).stdout, 4)
    for listen, hosts in (("8000:9000", V4[S] + V6[S] + ([ll + "%eth"] if ll else [])),
                          ("0.0.0.0/8000:9000", V4[S]), ("::/8000:9000", V4[S] + V6[S]),
                          ("10.77.0.2/8000:9000", ["10.77.0.2"]),
                          ("fd77::2/8000:9000", ["fd77::2"])):
        s = server("-l", listen)
        for host in hosts:
            for dialect in (JSON, TEXT, TEAM_A):
                for level in (0, 1) if dialect == JSON else (0,):
                    what = "%s asked at %s, dialect %d, level %d" % (listen, host, dialect, level)
                    try:
                        answers_from(host, dialect, dict(ocm=1) if level else {}, what)
                    except (OSError, EOFError, Refused, ValueError) as e:
                        check(False, what + ": " + repr(e))
        check(s.stop() == 0, "the server on %s stops" % listen)


def answers_from(host, dialect, keys, what):
    room = new_room()
    a = member(host, room, "an", CREATE, A, dialect=dialect, **keys)
    b = member(host, room, "ben", JOIN, B)  # has not sent anything: its address is the connection's
    a.say("one")
    asked = socket.getaddrinfo(host, UDP)[0][4] if "%" not in host else None
    came = b.hears("one")
    check(came is not None and (not asked or came[:2] == asked[:2]),
          "%s: first words from %s" % (what, came))
    b.say("two")
    came = a.hears("two")
    check(came is not None and (not asked or came[:2] == asked[:2]), "%s: from %s" % (what, came))
    # a member that moves to another of the server's addresses is answered from there
    other = {V4[S][0]: V4[S][1], V6[S][0]: V6[S][1]}.get(host)
    if other and "8000:9000" == what.split()[0]:
        b.to = (other, UDP) + tuple(b.to[2:])
        b.say("three")
        a.say("four")
        came = b.hears("four")
        check(came is not None and came[0] == other,
              "%s: moved to %s, from %s" % (what, other, came))
    a.leave()
    b.leave()


def clients_at_second_address():
    s = server()
    for host in (V4[S][1], V6[S][1]):
        two_clients(5, "clients at " + host, 30, host)
    s.stop()


# ---- What one host may take ----


def shares():
    for args, room in (("-M", "40"), lambda i: "mine"), (("-R", "40"), lambda i: "mine%d" % i):
        s = server("-l", "8000:9000", *args)
        host = V4[S][0]
        got = [0, 0]
        for i in range(60):
            op = CREATE if room(i) != room(0) or i == 0 else JOIN
            r = status(host, room(i), "a%d" % i, op)
            got[r != 200] += 1
            check(r in (200, 503), "request %d of one host: %d" % (i, r))
            if got[0] >= 10 and got[1] >= 3:
                break
            if r == 503:
                time.sleep(0.15)
        check(got[0] == 10, "with %s one host holds %d, a quarter is 10" % (args, got[0]))
        check(chat_works(s, host=host, namespaces=(B, B)), "another host chats when one has its share")
        for m in stay:
            m.leave()
        stay.clear()
        s.stop()

    for host in (V4[S][0], V6[S][0]):
        s = server()
        began, joined = time.monotonic(), 0
        while time.monotonic() - began < 2:
            joined += status(host, new_room(), "a", CREATE) == 200
        check(20 <= joined <= 45, "one host joins %d times in 2 s, 20 to 45 may be" % joined)
        check(chat_works(s, host=host, namespaces=(B, B)), "another host joins meanwhile")
        stay.clear()
        s.stop()

    s = server()
    host = V4[S][0]
    many = []
    for i in range(1100):
        try:
            many.append(connect(host, TCP, A, 1))
        except OSError:
            break
    check(len(many) > 900, "only %d connections" % len(many))
    slow = connect(host, TCP, B)
    for i in range(100):
        many.append(connect(host, TCP, A, 1))
    time.sleep(0.5)
    slow.sendall(request(CREATE, "slow", "ben", port=5000))
    read_frame(slow)
    check(json.loads(read_frame(slow)[2])["status"] == 201,
          "a client that connects and then pauses is served")
    check(chat_works(s, host=host, namespaces=(B, C)), "others chat beside 1200 connections")
    open_now = s.descriptors()
    check(open_now < 245, "one host holds %d connections, a quarter is 225" % open_now)
    for c in many:
        c.close()
    s.stop()


# ---- Passwords ----


def guess(host, at, password, room="vault", wait=True, seconds=8):
    """The status, and how long that took; without waiting None."""
    began = time.monotonic()
    s = connect(host, TCP, at, seconds)
    s.sendall(request(JOIN, room, at or "me", password=password, port=5000))
    if not wait:
        s.close()
        return None, 0
    try:
        while True:
            _, state, payload = read_frame(s)
            if state == 2:
                return json.loads(payload)["status"], time.monotonic() - began
    except OSError:
        return None, time.monotonic() - began
    finally:
        s.close()


def passwords():
    s = server()
    host = V4[S][0]
    keeper = member(host, "vault", "keeper", CREATE, C, password="right")
    for i in range(6):
        guess(host, A, "wrong%d" % i, wait=False)
    took = guess(host, B, "right")
    check(took[0] == 200 and took[1] < 0.5, "another host is not delayed: %s in %.1f s" % took)
    took = guess(host, A, "right")
    check(took[0] == 200 and took[1] > 3, "early hang-ups do not help: %s in %.1f s" % took)
    keeper.leave()
    s.stop()

    s = server()  # many connections at once are one a second, too
    keeper = member(host, "vault", "keeper", CREATE, C, password="right")
    many = [connect(host, TCP, A, 5) for i in range(50)]
    for i, c in enumerate(many):
        c.sendall(request(JOIN, "vault", "g", password="no%d" % i, port=5000))
    time.sleep(3.3)
    answered = sum(1 for c in many if select.select([c], [], [], 0)[0])
    check(answered <= 5, "%d of 50 guesses at once are examined in 3 s" % answered)
    for c in many:
        c.close()
    keeper.leave()
    s.stop()

    s = server()  # wrong passwords for many rooms of one's own push nothing out of the memory
    keeper = member("127.0.0.1", "vault", "keeper", CREATE, S, password="right")
    for i in range(300):
        status("127.0.0.1", "own %d" % i, "a", CREATE, S, password="x")
    began, tries = time.monotonic(), 0
    while time.monotonic() - began < 6:
        r, _ = guess("127.0.0.1", S, "no", seconds=0.1)
        tries += r == 401
        for i in range(300):
            guess("127.0.0.1", S, "no", "own %d" % i, wait=False)
    check(tries <= 7, "%d guesses in 6 s beside wrong ones for other rooms" % tries)
    stay.clear()
    keeper.leave()
    s.stop()


def foreign_tokens():
    s = server()
    host = V4[S][0]
    a = member(host, "vault", "an", CREATE, A, password="pw", ocm=1)
    b = member(host, "vault", "ben", JOIN, B, password="pw", ocm=1)
    head = bytes([len(a.room), len(a.token)]) + a.room + a.token
    with At(C):
        thief = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    a.send({"sender": "system", "operation": 6, "seq": 2})
    b.send({"sender": "system", "operation": 6, "seq": 2})
    thief.sendto(head + b'{"message":"stolen","id":1}', (host, UDP))
    thief.sendto(head + b'{"sender":"system","operation":2}', (host, UDP))
    check(not b.hears("stolen", 0.5), "a token from another host does not speak")
    a.say("still here", id=1)
    check(b.hears("still here"), "nor does it leave")
    thief.settimeout(0.2)
    try:
        check(False, "and it was sent %r" % thief.recv(5000))
    except OSError:
        check(True, "")
    r = status(host, "vault", "an", JOIN, C, ocm=1, token=a.token.decode())
    check(r == 401, "coming back from another host without the password: %d" % r)
    time.sleep(1.1)
    r = status(host, "vault", "an", JOIN, C, ocm=1, token=a.token.decode(), password="no")
    check(r == 401, "coming back from another host with a wrong one: %d" % r)
    a.say("moved?", id=2)
    check(b.hears("moved?"), "a refused come back moves nothing")
    r = status(host, "vault", "an", JOIN, A, ocm=1, token=a.token.decode())
    check(r == 200, "coming back from the same host without the password: %d" % r)
    r = status(host, "vault", "an", JOIN, C, ocm=1, token=a.token.decode(), password="pw",
               seconds=9)
    check(r == 200 and stay[-1].token == a.token, "from another host with it: %d" % r)
    stay[-1].say("from cy", id=3)
    check(b.hears("from cy"), "the new host speaks")
    a.say("from an", id=4)
    check(not b.hears("from an", 0.5), "the old one does not")
    stay.clear()
    s.stop()


# ---- Nothing to strangers ----


def raw_udp(source, to, payload):
    """A datagram with any source address, from an."""
    udp = struct.pack("!HHHH", 7777, UDP, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0,
                       socket.inet_aton(source), socket.inet_aton(to))
    with At(A):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.sendto(head + udp, (to, 0))
    raw.close()


def strangers():
    s = server("-l", "8000:9000", "-i", "3")
    host, victim = V4[S][0], V4[C][0]
    with At(C):
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
        ear.bind(("eth", 0))
        ear.settimeout(0)
    member(host, new_room(), "an", CREATE, A, ip=victim, port=7777, ocm=1)
    a = member(host, "r", "an", CREATE, A, ip=victim, port=7777, ocm=1)
    b = member(host, "r", "ben", JOIN, B, ip=victim, ocm=1)
    t = member(host, "r", "text", JOIN, B, dialect=TEXT)
    head = bytes([1, 32]) + b"r" + a.token
    system = b'{"sender":"system","operation":%d%s}'
    tries = [b"", b"\0\0", b"\0\0hi", b"r", b"\1\40r", os.urandom(600), head[:-1], head + b"hi",
             head + b"{}", head, head + system % (6, b',"seq":0'), head + system % (2, b""),
             head + b'{"message":"x"}', bytes([1, 32]) + b"r" + t.token + b"x",
             head + b"\xff" * 4000]
    for payload in tries * 20:
        raw_udp(victim, host, payload[:1400])
    for i in range(30):  # refused, unfinished and broken requests
        for payload in (request(JOIN, "r", "an", port=7777, ip=victim), b"\1\1\0", os.urandom(64),
                        request(JOIN, "none", "x", port=7777), request(LIST, "", "")):
            c = connect(host, TCP, A)
            c.sendall(payload)
            c.close()
    b.say("hello")
    time.sleep(4)  # both time out meanwhile, and are told
    count = bytes_heard = 0
    while True:
        try:
            packet = ear.recv(65536)
        except OSError:
            break
        four, protocol, source = packet[12:14] == b"\x08\0", packet[23], packet[26:30]
        if four and protocol == socket.IPPROTO_UDP and source == socket.inet_aton(host):
            count += 1
            bytes_heard += len(packet) - 14
    check(bytes_heard == 0, "a host that never joined got %d bytes of UDP" % bytes_heard)
    check(chat_works(s, host=host, namespaces=(A, B)), "a chat afterwards")
    s.stop()


# ---- Echo loops ----


def datagrams_out(n):
    text = subprocess.run(["ip", "netns", "exec", n, "cat", "/proc/net/snmp", "/proc/net/snmp6"],
                          capture_output=True).stdout.decode()
    lines = [l.split() for l in text.split("\n")]
    four = [int(l[4]) for l in lines if l and l[0] == "Udp:" and l[1].isdigit()]
    six = [int(l[1]) for l in lines if l and l[0] == "Udp6OutDatagrams"]
    return sum(four + six)


def bind_v6_only(on):
    command = "echo %d >/proc/sys/net/ipv6/bindv6only" % on
    subprocess.run(inside(S) + ["sh", "-c", command], check=True)


def echo_loops():
    """Two members, each at an address of the server, whose UDP port is the server's own."""
    for listen, addresses in (("8000:9000", ["127.0.0.1", "127.0.0.2"]), ("8000:9000", V4[S]),
                              ("8000:9000", V6[S]), ("0.0.0.0/8000:9000", V4[S]),
                              ("127.0.0.1/8000:9000", ["127.0.0.1", "127.0.0.1"])):
        for dialect in (JSON, TEXT, TEAM_A):
            for v6only in (0, 1) if listen == "8000:9000" else (0,):
                bind_v6_only(v6only)
                echo_loop(listen, addresses, dialect,
                          "%s, dialect %d, by way of %s, bindv6only %d" %
                          (listen, dialect, addresses[0], v6only))
    bind_v6_only(0)
    two_servers()


def echo_loop(listen, addresses, dialect, what):
    s = server("-l", listen)
    room, echoes = new_room(), []
    for i, host in enumerate(addresses):
        where = None if dialect == JSON else (host, UDP) + ((0, 0) if ":" in host else ())
        try:
            m = member(host, room, "m%d" % i, JOIN if i else CREATE, S, dialect=dialect,
                       port=UDP if dialect == JSON else None, source=where)
        except OSError:
            break  # the same two ends again: there is only one such member
        with At(S):
            m.udp = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET,
                                  socket.SOCK_DGRAM)
        echoes.append(m)
    check(echoes, what + ": nobody joined")
    other = member(addresses[0], room, "other", JOIN, S)
    before = datagrams_out(S)
    for i in range(3):
        other.say("echo")
    time.sleep(0.7)
    sent = datagrams_out(S) - before
    check(sent < 40, "%s: %d datagrams in a moment" % (what, sent))
    heard = []
    other.udp.settimeout(0)
    try:
        while True:
            heard += other.receive()[0]
    except OSError:
        pass
    # what they get is not taken for something that they say
    check(all(h["sender"] == "system" for h in heard), "%s: it hears %r" % (what, heard[:3]))
    check(chat_works(s, host=addresses[0], namespaces=(S, S)), what + ": a chat afterwards")
    s.stop()


def two_servers():
    """Members of one server who give the other one's port."""
    s = server("-l", "127.0.0.1/8000:9000")
    t = server("-l", "127.0.0.1/8001:9001")
    for tcp, port in ((8000, 9001), (8001, 9000)):
        for dialect in (JSON, TEAM_A):
            room = new_room()
            m = Member("127.0.0.1", tcp, tcp + 1000, room, "m", CREATE, namespace=S,
                       dialect=dialect, port=port,
                       source=None if dialect == JSON else ("127.0.0.1", port))
            other = Member("127.0.0.1", tcp, tcp + 1000, room, "o", namespace=S)
            stay.append(other)
    before = datagrams_out(S)
    for m in stay:
        m.say("echo")
    time.sleep(1)
    sent = datagrams_out(S) - before
    check(sent < 40, "two servers that are made to talk: %d datagrams in a second" % sent)
    stay.clear()
    s.stop()
    t.stop()


# ---- Slow and lossy networks ----


def slow_interface():
    if not tc(S, "qdisc add dev slow root tbf rate 2mbit burst 8kb limit 200kb"):
        print("skipped: tc has no tbf here")
        return
    s = server()
    room = new_room()
    slow = []
    for i in range(15):
        slow.append(Member("10.78.0.1", TCP, UDP, room, "slow%d" % i, CREATE if i == 0 else JOIN,
                           namespace=SLOW, ocm=1))
    for i in range(60):
        slow[0].say("%d %s" % (i, "x" * 3000), id=i + 1)
        time.sleep(0.002)
    room = new_room()
    a = member(V4[S][0], room, "an", CREATE, A)
    b = member(V4[S][0], room, "ben", JOIN, B)
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            for m in slow:
                m.send({"sender": "system", "operation": 6, "seq": 0})
            time.sleep(0.02)  # as often as the rate allows

    threading.Thread(target=ask, daemon=True).start()
    took = []
    for i in range(100):
        began = time.monotonic()
        a.say("m%d" % i)
        if b.hears("m%d" % i, 0.5):
            took.append(time.monotonic() - began)
        time.sleep(0.01)
    took.sort()
    # all datagrams share one send buffer: some are dropped, but nobody waits
    check(len(took) > 50, "%d of 100 datagrams beside a slow interface" % len(took))
    median, worst = statistics.median(took or [9]), (took or [9])[-1]
    check(median < 0.05 and worst < 0.4, "beside a slow interface: median %.0f ms, worst %.0f ms" %
          (1000 * median, 1000 * worst))
    two_clients(50, "beside a slow interface", 20)
    stop.set()
    tc(S, "qdisc del dev slow root")
    s.stop()


def two_clients(count, what, seconds, host=V4[S][1]):
    """One client says so many lines, the other one hears them all."""
    room = new_room()
    at = ("[%s]" if ":" in host else "%s") % host + "/8000:9000"
    run = [inside(n) + [client_program, "-s", at, "-n", n, room]
           for n in (A, B)]
    a = subprocess.Popen(run[0], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    while b"created" not in a.stderr.readline():
        check(a.poll() is None, what + ": the first client is in")
    lines = ["line %d" % i for i in range(count)]
    b = subprocess.run(run[1], input="\n".join(lines).encode() + b"\n", capture_output=True,
                       timeout=seconds)
    unconfirmed = b"did not confirm that you left" in b.stderr  # the one answer to that may be lost
    check(b.returncode == 0 or unconfirmed,
          "%s: the speaker ends with %d, %r" % (what, b.returncode, b.stderr))
    said = b""
    while said.count(b": line") < count and select.select([a.stdout], [], [], seconds)[0]:
        more = os.read(a.stdout.fileno(), 65536)
        said += more
        if not more:
            break
    a.stdin.close()
    said += a.stdout.read()
    heard = [l.split(": ", 1)[1] for l in said.decode().split("\n") if ": line" in l]
    check(a.wait(60) == 0 and heard == lines, "%s: %d of %d lines" % (what, len(heard), count))
    a.stdout.close()
    a.stderr.close()


def silent_address():
    """A name with two addresses, of which the first answers nothing: the second one is tried after
    a second, and not only after the system gives up the first."""
    etc = "/etc/netns/" + A
    os.makedirs(etc)
    with open(etc + "/hosts", "w") as f:
        f.write("fd77::99 chat.test\n10.77.0.1 chat.test\n")
    s = server()
    began = time.monotonic()
    words = [client_program, "-s", "chat.test/8000:9000", "-n", "a", new_room()]
    run = subprocess.run(inside(A) + words, input=b"hello\n", capture_output=True, timeout=60)
    took = time.monotonic() - began
    check(run.returncode == 0, "a silent address: %d, %r" % (run.returncode, run.stderr))
    check(took < 2.8, "a silent address: after %.1f s" % took)
    print("a silent address costs %.1f s" % took)
    s.stop()
    shutil.rmtree(etc)


def lossy_network():
    if not all(tc(n, "qdisc add dev eth root netem loss 30% delay 10ms") for n in (S, A, B)):
        print("skipped: tc has no netem here")
        return
    s = server()
    two_clients(100, "30 % loss", 120)
    for n in (S, A, B):
        tc(n, "qdisc del dev eth root")
    s.stop()


if __name__ == "__main__":
    parts = [second_address, clients_at_second_address, shares, passwords, foreign_tokens,
             strangers, echo_loops, slow_interface, silent_address, lossy_network]
    try:
        make_hosts()
        for part in parts:
            if len(sys.argv) < 3 or part.__name__ in sys.argv[2:]:
                began = time.monotonic()
                part()
                print("%s: %.1f s" % (part.__name__, time.monotonic() - began), flush=True)
    finally:
        drop_hosts()
    done()
