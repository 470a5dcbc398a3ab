"""Fails each system call of the server and of the client, once and for ever, with each error that
it may plausibly meet, while people chat.

A fault that comes once must be survived: afterwards a normal chat works. While a fault lasts, the
program may refuse to start, or serve nobody; but it may not crash, spin, or hang, and when the
fault is gone a normal chat works. A combination counts only if the fault was met."""

import concurrent.futures
import errno
import mmap
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import threading
import time

from chat import Refused, Server, chat, check, chat_works, done, new_room
import chat as base

CALLS = ("accept bind connect dup2 fcntl getaddrinfo getpeername getsockname getsockopt listen "
         "malloc open poll read realloc recv recvfrom recvmsg select send sendmsg sendto "
         "setsockopt socket tcgetattr tcsetattr write").split()
SHORT, EMPTY = -1, -2
FOREVER = 2 ** 31 - 1
SPIN = 20000  # system calls a second, while nothing is to be done

NET = "ECONNRESET EINTR EAGAIN ENOBUFS ENOMEM"
ERRORS = {
    "accept": "EINTR EAGAIN ECONNABORTED EMFILE ENFILE ENOBUFS ENOMEM EPERM EPROTO",
    "bind": "EADDRINUSE EADDRNOTAVAIL EACCES ENOMEM",
    "connect": "EINTR ECONNREFUSED EHOSTUNREACH ENETUNREACH ETIMEDOUT EADDRNOTAVAIL EAGAIN",
    "fcntl": "EINTR EBADF EMFILE",
    "getaddrinfo": "ENOMEM",
    "getpeername": "ENOBUFS ENOTCONN",
    "getsockname": "ENOBUFS ENOTCONN",
    "getsockopt": "ENOBUFS ENOPROTOOPT",
    "listen": "EADDRINUSE EOPNOTSUPP",
    "malloc": "ENOMEM",
    "realloc": "ENOMEM",
    "open": "EMFILE ENOENT ENOMEM",
    "poll": "EINTR EINVAL ENOMEM",
    "read": "EINTR EAGAIN EIO SHORT EMPTY",
    "recv": NET + " ETIMEDOUT SHORT EMPTY",
    "recvfrom": NET + " ECONNREFUSED EHOSTUNREACH EMSGSIZE",
    "recvmsg": NET + " ECONNREFUSED EHOSTUNREACH EMSGSIZE",
    "select": "EINTR ENOMEM EBADF",
    "send": NET + " EPIPE SHORT",
    "sendmsg": NET + " ECONNREFUSED EHOSTUNREACH EMSGSIZE EPERM EINVAL ENETUNREACH",
    "sendto": NET + " ECONNREFUSED EHOSTUNREACH EMSGSIZE EPERM EINVAL ENETUNREACH",
    "setsockopt": "ENOPROTOOPT ENOMEM EINVAL",
    "socket": "EMFILE ENFILE ENOBUFS ENOMEM EAFNOSUPPORT",
    "tcgetattr": "ENOTTY EINTR",
    "tcsetattr": "ENOTTY EINTR EIO",
    "write": "EINTR EAGAIN EIO ENOSPC EPIPE SHORT",
    "dup2": "EMFILE EINTR",
}


def number(error):
    return {"SHORT": SHORT, "EMPTY": EMPTY}.get(error) or getattr(errno, error)


class Plan:
    """The file through which faults.c is told what is to fail."""

    made = 0

    def __init__(self, directory):
        Plan.made += 1
        self.name = "%s/plan%d" % (directory, Plan.made)
        with open(self.name, "wb") as f:
            f.write(struct.pack("5i", -1, 0, 0, 0, 0) + bytes(4 * len(CALLS)))
        with open(self.name, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 0)
        self.env = dict(os.environ, OCM_FAULTS=self.name)

    def arm(self, call, error, skip, count):
        self.map[4:20] = struct.pack("4i", number(error), skip, count, 0)
        self.map[0:4] = struct.pack("i", CALLS.index(call))

    def disarm(self):
        self.map[0:4] = struct.pack("i", -1)

    def hits(self):
        return struct.unpack("i", self.map[16:20])[0]

    def calls(self):
        return sum(struct.unpack("%di" % len(CALLS), self.map[20:]))

    def drop(self):
        self.map.close()
        os.unlink(self.name)


def try_chat(server, seconds):
    try:
        return chat(server.host, server.tcp, server.udp, seconds=seconds)
    except (OSError, EOFError, Refused, ValueError):
        return False


tries = 0


def tried(good, what):
    global tries
    tries += 1
    return check(good, what)


# ---- The server while it runs ----


def server_runs(tmp, listen):
    plan = Plan(tmp)
    server = Server(tmp + "/server", "-l", listen, "-i", "5", env=plan.env)
    if not check(chat_works(server, host="127.0.0.1"), "a chat before any fault"):
        return
    server.host = "127.0.0.1"
    for call, errors in ERRORS.items():
        for error in errors.split():
            for skip in (0, 1, 2, 5):
                plan.arm(call, error, skip, 1)
                try_chat(server, 0.3)
                met = plan.hits()
                plan.disarm()
                if not met:
                    break
                what = "server %s: %s fails with %s at call %d" % (listen, call, error, skip + 1)
                if not tried(server.alive() and chat_works(server), what):
                    server.stop()
                    server = Server(tmp + "/server", "-l", listen, "-i", "5", env=plan.env)
                    server.host = "127.0.0.1"
            server_for_ever(plan, server, call, error, listen)
    status = server.stop()
    check(status == 0, "the server stops with status 0, not %s" % status)
    plan.drop()


def server_for_ever(plan, server, call, error, listen):
    what = "server %s: %s always fails with %s" % (listen, call, error)
    plan.arm(call, error, 0, FOREVER)
    try_chat(server, 0.1)
    waiting = None
    try:  # something lies there unread, or cannot be answered
        waiting = base.connect("127.0.0.1", server.tcp, seconds=0.1)
        waiting.sendall(base.request(base.LIST, "", ""))
    except OSError:
        pass
    time.sleep(0.1)
    before, began = plan.calls(), time.monotonic()
    time.sleep(0.3)
    rate = (plan.calls() - before) / (time.monotonic() - began)
    met = plan.hits()
    plan.disarm()
    if waiting:
        waiting.close()
    if not met:
        return
    tried(server.alive() and chat_works(server), what)
    check(rate < SPIN, "%s: it spins, %d calls a second" % (what, rate))


# ---- The server when it starts ----


def server_starts(tmp):
    for call, errors in ERRORS.items():
        for error in errors.split():
            for skip in range(9):
                for count in (1, FOREVER) if error != "EINTR" else (1,):  # no signals without end
                    if not server_start(tmp, call, error, skip, count):
                        break
                else:
                    continue
                break


def server_start(tmp, call, error, skip, count):
    """False if the fault was not met."""
    what = "server: %s fails with %s from call %d on, %s" % (call, error, skip + 1,
                                                              "once" if count == 1 else "for ever")
    plan = Plan(tmp)
    plan.arm(call, error, skip, count)
    log = plan.name + ".log"
    server = Server(tmp + "/server", "-l", "0/0:0" if skip % 2 else "0:0", log=log, env=plan.env)
    if server.tcp:  # then it is up, as it says so
        time.sleep(0.02)
    else:
        base.wait_until(lambda: not server.alive(), 2)
    met = plan.hits()
    plan.disarm()
    if met and server.alive():
        tried(server.tcp and chat_works(server, host="127.0.0.1"), what + ": it serves nobody")
    elif met:
        with open(log) as f:
            words = f.read()
        status = server.process.poll()
        tried(status in (1, 2) and re.match(r"server: .*\w{3,} \w+", words),
              "%s: it ends with %s and says %r" % (what, status, words))
    server.stop()
    os.unlink(log)
    plan.drop()
    return met


# ---- The client ----


class Client:
    """A client on pipes, or with a terminal, whose output is collected."""

    def __init__(self, tmp, server, room, name, plan, terminal=False, text=False):
        args = [tmp + "/client", "-s", "127.0.0.1/%d:%d" % (server.tcp, server.udp), "-n", name]
        args += (["-t"] if text else []) + [room]
        env = dict(plan.env, TERM="xterm")
        self.out, self.began = b"", time.monotonic()
        if terminal:
            self.master, slave = pty.openpty()
            self.process = subprocess.Popen(args, stdin=slave, stdout=slave, stderr=slave, env=env,
                                            start_new_session=True)
            os.close(slave)
        else:
            self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.STDOUT, env=env)
            self.master = None
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        fd = self.master if self.master is not None else self.process.stdout.fileno()
        while True:
            try:
                more = os.read(fd, 65536)
            except OSError:
                return
            if not more:
                return
            self.out += more

    def alive(self):
        return self.process.poll() is None

    def write(self, data):
        try:
            if self.master is not None:
                os.write(self.master, data.replace(b"\n", b"\r"))
            else:
                self.process.stdin.write(data)
                self.process.stdin.flush()
        except OSError:
            pass

    def shows(self, words, seconds):
        return base.wait_until(lambda: words in self.out or not self.alive(),
                               seconds) and words in self.out

    def end(self, seconds, deaf=False):
        """Status (None: it had to be killed). One that cannot notice the end of its input is to end
        at a signal."""
        if self.master is not None:
            self.write(b"/leave\n")
        else:
            try:
                self.process.stdin.close()
            except OSError:
                pass
        end, status = time.monotonic() + seconds, None
        while self.alive() and time.monotonic() < end:
            time.sleep(0.01)
            if deaf and time.monotonic() > self.began + 2:
                self.process.send_signal(signal.SIGTERM)
                deaf = False
        if not self.alive():
            status = self.process.wait()
        self.process.kill()
        self.process.wait()
        self.reader.join(1)
        if self.master is not None:
            os.close(self.master)
        else:
            self.process.stdout.close()
        return status


def client_starts(tmp, server, call, error, skip, count, terminal, text):
    """Faults from the start on. Returns whether they were met, and what was wrong, if anything."""
    plan = Plan(tmp)
    plan.arm(call, error, skip, count)
    room = "start %s" % os.path.basename(plan.name)
    client = Client(tmp, server, room, "ann", plan, terminal, text)
    entered = client.shows(b'created "', 1.5 if count == 1 else 0.3)
    client.write(b"hello\n")
    if terminal and count > 1:
        time.sleep(0.2)
    if terminal:
        plan.disarm()  # a terminal that is dead for ever ends it, and is another test
    status = client.end(25, call in ("read", "select") and count > 1)
    met, rate = plan.hits(), plan.calls() / max(time.monotonic() - client.began, 1)
    plan.drop()
    wrong = None
    if status is None:
        wrong = "it hangs"
    elif status < 0 or status > 2 and status != 130:
        wrong = "it ends with %d" % status
    elif rate > SPIN and (call, error) != ("select", "EINTR"):  # signals without end are no fault
        wrong = "it spins, %d calls a second" % rate
    elif not entered and status != 130 and not re.search(rb"\w+ \w+", client.out):
        wrong = "it ends with %d without a word" % status
    return met, wrong


def client_runs(tmp, server, call, error, skip, text):
    """One fault inside the room. What is said afterwards is heard on both sides."""
    plan = Plan(tmp)
    room = "run %s" % os.path.basename(plan.name)
    wrong = None
    host = base.Member("127.0.0.1", server.tcp, server.udp, room, "host", base.CREATE)
    client = Client(tmp, server, room, "ann", plan, False, text)
    try:
        if not client.shows(b'joined "', 3):
            return False, "no chat before the fault"
        plan.arm(call, error, skip, 1)
        client.write(b"one\n")
        host.say("first")
        time.sleep(0.1)
        met = plan.hits()
        if met and client.alive():
            client.write(b"two\n")
            host.say("second")
            if not host.hears("two", 4):
                wrong = "what it says later is not heard"
            elif not client.shows(b"second", 4):
                wrong = "it does not hear what is said later"
    finally:
        plan.disarm()
        status = client.end(15)
        host.leave()
        plan.drop()
    if status is None:
        wrong = "it hangs"
    elif status not in (0, 1):
        wrong = "it ends with %s" % status
    return met, wrong


def clients(tmp):
    server = Server(tmp + "/server", "-l", "127.0.0.1/0:0", "-r", "0")
    jobs = []
    for call, errors in ERRORS.items():
        for error in errors.split():
            what = "client: %s fails with %s from the start" % (call, error)
            for skip in (0, 1, 3):
                for count in (1, FOREVER):
                    jobs.append((client_starts, what + ", +%d, %s" %
                                 (skip, "once" if count == 1 else "for ever"),
                                 (call, error, skip, count, False, False)))
            jobs.append((client_starts, what + ", at a terminal",
                         (call, error, 0, FOREVER, True, False)))
            jobs.append((client_starts, what + ", with -t", (call, error, 0, FOREVER, False, True)))
            if (call, error) in (("read", "EIO"), ("read", "EMPTY")):
                continue  # its input is over then
            for skip in (0, 1):
                jobs.append((client_runs, what + ", +%d, in the room" % skip,
                             (call, error, skip, False)))
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        results = [(what, pool.submit(job, tmp, server, *args)) for job, what, args in jobs]
        for what, result in results:
            try:
                met, wrong = result.result()
            except (OSError, EOFError, Refused) as e:
                met, wrong = True, repr(e)
            if met:
                tried(wrong is None, "%s: %s" % (what, wrong))
    check(chat_works(server), "a chat after all clients")
    check(server.stop() == 0, "the server stops")


if __name__ == "__main__":
    only = sys.argv[2:] or ["run", "all", "start", "client"]
    if "run" in only:
        server_runs(sys.argv[1], "127.0.0.1/0:0")
    if "all" in only:
        server_runs(sys.argv[1], "0:0")
    if "start" in only:
        server_starts(sys.argv[1])
    if "client" in only:
        clients(sys.argv[1])
    print("%s: %d combinations of call, error and mode were met" % (" ".join(only), tries))
    done()
