"""What the checks beside this file have in common: a server to start and watch, members that speak
the protocol byte by byte, and a count of what held."""

import ctypes
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

passed = failed = 0


def check(good, what):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print("FAILED:", what, flush=True)
    return good


def done():
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed or not passed else 0)


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())


# ---- Hosts: network namespaces ----

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


class At:
    """Sockets that are made inside `with At(namespace)` belong to that namespace for good."""

    def __init__(self, namespace):
        self.namespace = namespace

    def __enter__(self):
        self.old = None
        if self.namespace:
            self.old = os.open("/proc/self/ns/net", os.O_RDONLY)
            self.enter(os.open("/run/netns/" + self.namespace, os.O_RDONLY))

    def __exit__(self, *unused):
        if self.old is not None:
            self.enter(self.old)

    @staticmethod
    def enter(fd):
        if libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)


def inside(namespace):
    return ["ip", "netns", "exec", namespace] if namespace else []


# ---- The server ----


class Server:
    def __init__(self, program, *args, log="/dev/null", env=None, namespace=None):
        args = args or ("-l", "127.0.0.1/0:0")
        self.log = open(log, "ab")
        with At(namespace):
            self.process = subprocess.Popen([program] + list(args), stdout=subprocess.PIPE,
                                            stdin=subprocess.DEVNULL, stderr=self.log, env=env)
        self.host = self.tcp = self.udp = None
        line = self.process.stdout.readline().decode()
        m = re.match(r"listening on (.*)/(\d+):(\d+)", line)
        if m:
            self.host, self.tcp, self.udp = m.group(1), int(m.group(2)), int(m.group(3))

    def alive(self):
        return self.process.poll() is None

    def cpu(self):
        """Seconds of processor time so far."""
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self):
        """KiB in memory."""
        with open("/proc/%d/status" % self.process.pid) as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def stop(self, seconds=5):
        """The exit status, or None if it had to be killed."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None
        finally:
            self.log.close()
            self.process.stdout.close()


# ---- Members ----

CREATE, JOIN, LIST = 1, 2, 3
TEXT, JSON, TEAM_A = 0, -1, 1  # the state of a request, but for JSON


def frame(op, state, room, payload):
    room = room.encode()
    return bytes([len(room), op, state]) + len(payload).to_bytes(29, "big") + room + payload


def request(op, room, name, dialect=JSON, **keys):
    if dialect != JSON:
        return frame(op, dialect, room, name.encode())
    return frame(op, 0, room, json.dumps(dict(username=name, **keys)).encode())


def read_exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise EOFError("closed")
        data += more
    return data


def read_frame(s):
    head = read_exactly(s, 32)
    read_exactly(s, head[0])
    return head[1], head[2], read_exactly(s, int.from_bytes(head[3:], "big"))


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def address(host, port):
    return socket.getaddrinfo(host, port, family_of(host))[0][4]


def connect(host, port, namespace=None, seconds=3, source=None):
    with At(namespace):
        s = socket.socket(family_of(host), socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        to = address(host, port)
    s.settimeout(seconds)
    try:
        if source:
            s.bind(source)
        s.connect(to)
    except OSError:
        s.close()
        raise
    return s


class Refused(Exception):
    pass


class Member:
    """Joins when it is made; raises Refused(status) if that is refused."""

    def __init__(self, host, tcp, udp, room, name, op=JOIN, dialect=JSON, namespace=None,
                 seconds=3, source=None, port=None, **keys):
        self.room, self.name, self.dialect = room.encode(), name, dialect
        self.to, self.host = None, host
        self.udp = None
        self.level = keys.get("ocm", 0)
        s = connect(host, tcp, namespace, seconds, source)
        try:
            with At(namespace):
                self.udp = socket.socket(family_of(host), socket.SOCK_DGRAM)
                self.to = address(host, udp)
            if dialect == JSON:
                if not port:
                    self.udp.bind((s.getsockname()[0], 0) + s.getsockname()[2:])
                keys["port"] = port or self.udp.getsockname()[1]
            elif not source:
                self.udp.bind(s.getsockname())
            self.udp.settimeout(seconds)
            s.sendall(request(op, room, name, dialect, **keys))
            self.answer(s)
        except BaseException:
            if self.udp:
                self.udp.close()
            raise
        finally:
            s.close()

    def answer(self, s):
        while True:
            _, state, payload = read_frame(s)
            if state == 2:
                break
        self.outcome = {}
        if payload[:1] == b"{":
            self.outcome = json.loads(payload)
            status = self.outcome.get("status", self.outcome.get("status_code"))
            token = self.outcome.get("token", self.outcome.get("user_token"))
        else:
            status = 400 if payload.startswith(b"error: ") else 200
            token = payload.decode()
        if status >= 300:
            raise Refused(status)
        self.token = token.encode()

    def send(self, payload):
        if isinstance(payload, dict):
            payload = json.dumps(payload)
        if isinstance(payload, str):
            payload = payload.encode()
        head = bytes([len(self.room), len(self.token)]) + self.room + self.token
        self.udp.sendto(head + payload, self.to)

    def say(self, text, **keys):
        self.send(dict(message=text, **keys) if self.dialect == JSON else text)

    def leave(self):
        if self.dialect == JSON:
            self.send(dict(sender="system", operation=2, username=self.name, message=""))
        else:
            self.send("[remove_chatroom]")
        self.udp.close()

    def receive(self):
        """The objects, or the text, of one datagram, and who sent it."""
        data, sender = self.udp.recvfrom(65536)
        if self.dialect == TEXT:
            return [data.decode()], sender
        data = data[2 + data[0] + data[1]:].decode()
        if self.dialect == TEAM_A:
            return [data], sender
        return [json.loads(line) for line in data.split("\n") if line], sender

    def hears(self, text, seconds=3):
        """Where the message came from, or None."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.udp.settimeout(max(0.001, end - time.monotonic()))
            try:
                heard, sender = self.receive()
            except OSError as e:
                if e.errno == errno.ECONNREFUSED:
                    continue
                break
            for h in heard:
                if (h.get("message") if isinstance(h, dict) else h.split(": ", 1)[-1]) == text:
                    return sender
        return None


rooms = 0


def new_room():
    global rooms
    rooms += 1
    return "room %d of %d" % (rooms, os.getpid())


def chat(host, tcp, udp, namespaces=(None, None), seconds=3):
    """A room is made, joined, spoken in both ways, and left. Raises or returns False if not."""
    room = new_room()
    a = Member(host, tcp, udp, room, "alice", CREATE, namespace=namespaces[0], seconds=seconds)
    b = None
    try:
        b = Member(host, tcp, udp, room, "bob", namespace=namespaces[1], seconds=seconds)
        a.say("from alice")
        good = b.hears("from alice", seconds) is not None
        b.say("from bob")
        return good and a.hears("from bob", seconds) is not None
    finally:
        if b:
            b.leave()
        a.leave()


def chat_works(server, seconds=3, host=None, namespaces=(None, None)):
    """The same; the reason why not is printed."""
    try:
        return chat(host or server.host, server.tcp, server.udp, namespaces, seconds)
    except (OSError, EOFError, Refused, ValueError) as e:
        print("no chat:", repr(e))
        return False
