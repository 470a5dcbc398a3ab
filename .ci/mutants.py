#!/usr/bin/env python3
"""Mutation test of ocm.h: would the tests notice if a line of it were wrong?

    python3 .ci/mutants.py TMPDIR [COUNT|all [SEED [SECONDS [FIRST LAST]]]]

Each mutant is ocm.h with one change in its implementation: an operator, a comparison, a constant,
a condition negated, a statement deleted. It is killed if a test of .ci/core.c fails, crashes or
does not end; the tests stop at the first that does. What survives is compiled with -O2: if the
object is what the unchanged header gives, the change changes nothing, and it does not count. The
rest has to survive the tests under the sanitizers as well. What .ci/mutants.txt explains, a line
with a reason for each, does not count either. COUNT mutants are drawn by lot (SEED)
from all, or from those in the lines FIRST to LAST, by what they change: an edit elsewhere does not
draw others. No new one is begun after SECONDS. Ends with the score and the survivors; their list
is also in TMPDIR/mutants.txt. Needs gcc with its sanitizers; tcc, if it is there, compiles faster.
"""
import concurrent.futures
import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
import time

TOKEN = re.compile(r"""
    (?P<skip>/\*.*?\*/|\\\n|\s+)
  | (?P<directive>^[ \t]*\#(?:(?!/\*)[^\n\\]|\\.|\\\n)*)
  | (?P<text>"(?:[^"\\\n]|\\.)*")
  | (?P<char>'(?:[^'\\\n]|\\.)+')
  | (?P<number>\d[\w.]*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<op><<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[-+*/%<>=!&|^~?:;,.(){}\[\]])
""", re.X | re.S | re.M)

SWAP = {
    "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"],
    "==": ["!="], "!=": ["=="], "&&": ["||"], "||": ["&&"],
    "+": ["-"], "-": ["+"], "*": ["+"], "/": ["*"], "%": ["/"],
    "<<": [">>"], ">>": ["<<"], "&": ["|"], "|": ["&"], "^": ["|"],
    "+=": ["-="], "-=": ["+="], "*=": ["+="], "/=": ["*="], "|=": ["&="], "&=": ["|="],
    "^=": ["|="], "<<=": [">>="], ">>=": ["<<="], "++": ["--"], "--": ["++"], "!": [""], "~": [""],
}
BINARY_ONLY = set("+-*&")
OPENS_NOTHING = {"if", "while", "for", "do", "switch", "case", "default", "else", "goto"}
DECLARES = {"static", "const", "int", "unsigned", "char", "size_t", "struct", "typedef", "enum",
            "uint8_t", "uint16_t", "uint32_t", "uint64_t", "extern", "OCM_API"}


def tokens_of(text, start, end):
    """(kind, text, begin, end), without comments and space."""
    out = []
    at = start
    while at < end:
        m = TOKEN.match(text, at, end)
        if not m:
            raise SystemExit("mutants.py: cannot read %r" % text[at:at + 40])
        if m.lastgroup != "skip":
            out.append((m.lastgroup, m.group(), m.start(), m.end()))
        at = m.end()
    return out


def closing(tokens, i):
    """The index of the parenthesis that closes the one at i."""
    depth = 0
    for k in range(i, len(tokens)):
        if tokens[k][1] == "(":
            depth += 1
        elif tokens[k][1] == ")":
            depth -= 1
            if depth == 0:
                return k
    raise SystemExit("mutants.py: a parenthesis does not close")


def more(number):
    """An integer constant, one larger; 0 for 1, as 1 is mostly said for "yes"."""
    m = re.fullmatch(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)", number)
    if not m:
        return None
    value = int(m.group(1), 0)
    if value == 1:
        return "0" + m.group(2)
    return ("0x%X" if m.group(1)[:2] in ("0x", "0X") else "%d") % (value + 1) + m.group(2)


def all_mutants(text):
    """(begin, end, replacement) of every change, in the order of the file."""
    start = text.index("#define OCM_IMPLEMENTED")
    start = text.index("\n", start) + 1
    tokens = tokens_of(text, start, text.index("#endif /* OCM_IMPLEMENTED */"))
    out = []
    asserted, headers = set(), set()
    for i, (_, t, _, _) in enumerate(tokens):
        if t == "OCM_ASSERT":
            asserted.update(range(i, closing(tokens, i + 1) + 2))
        if t in ("if", "while", "for", "switch"):
            headers.add(closing(tokens, i + 1))
    depth = 0
    begins = -1
    for i, (kind, t, b, e) in enumerate(tokens):
        if i in asserted:
            continue
        before = tokens[i - 1] if i else ("op", ";", 0, 0)
        if kind == "directive":
            m = re.fullmatch(r"#define OCMI_\w+ (\d+u?)\s*", t)
            if m and more(m.group(1)):
                out.append((b + m.start(1), b + m.end(1), more(m.group(1))))
            continue
        size = before[1] == "[" and [k[0] for k in tokens[i - 3:i - 1]] == ["word", "word"]
        fill = before[1] == "," and "memset" in [k[1] for k in tokens[max(0, i - 8):i]]
        if kind == "number" and more(t) and len(t) < 12 and not size and not fill:
            out.append((b, e, more(t)))
            if int(more(t).rstrip("uUlL"), 0) > 2:
                out.append((b, e, "0"))
        if kind == "char":
            out.append((b, e, "(%s + 1)" % t))
        if kind == "op" and t in SWAP:
            if t not in BINARY_ONLY or text[e].isspace():  # "a * b", and not "type *b"
                out += [(b, e, new) for new in SWAP[t]]
        if t in ("if", "while") and tokens[i + 1][1] == "(":
            k = closing(tokens, i + 1)
            out.append((tokens[i + 1][2], tokens[k][3],
                        "(!" + text[tokens[i + 1][2]:tokens[k][3]] + ")"))
        if t == "for" and kind == "word":
            k = closing(tokens, i + 1)
            semis = [j for j in range(i + 1, k) if tokens[j][1] == ";"]
            condition = text[tokens[semis[0]][3]:tokens[semis[1]][2]]
            if condition.strip():
                out.append((tokens[semis[0]][3], tokens[semis[1]][2], " !(" + condition + ")"))
        # Statements: from where one may begin to its semicolon, outside parentheses.
        if depth == 0 and (
                before[1] in (";", "{", "}", "else", "do") or i - 1 in headers):
            begins = i
        if t == "(":
            depth += 1
        if t == ")":
            depth -= 1
        if t == ";" and depth == 0 and begins >= 0:
            first = tokens[begins][1]
            plain = first not in OPENS_NOTHING and first not in DECLARES and first != "return"
            if tokens[begins][0] in ("word", "op") and first not in ("}", ";") and \
                    (plain or (first == "return" and begins == i - 1)) and begins < i:
                out.append((tokens[begins][2], b, ""))
            begins = -1
    return sorted(set(out))


def run(command, **more_of):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **more_of)


def must(command):
    done = run(command)
    if done.returncode:
        raise SystemExit("%s\n%s" % (" ".join(command), done.stdout.decode()))
    return done.stdout.decode()


def bounded():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (300, 300))


SANITIZE = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
KINDS = {
    "plain": ["tcc" if shutil.which("tcc") else "gcc", "-shared", "-fPIC"],
    "same": ["gcc", "-O2", "-c", "-DOCM_ASSERT(x)=((void)0)"],
    "sane": ["gcc", "-shared", "-fPIC"] + SANITIZE,
}
QUICK_MS = 60  # what takes longer is not run again under the sanitizers


class Bench:
    """The unchanged header, the tests, and how long each of them takes."""

    def __init__(self, tmp):
        self.tmp = tmp
        self.header = open("ocm.h").read()
        self.private = sorted(set(re.findall(r"\bocmi_\w+", open("test.c").read())))
        hooks = "#include \"ocm.h\"\n"
        for name in self.private:  # a test looks inside: it is not static in the copies
            m = re.search(r"^static ([^;{}]*\b%s\([^)]*\))\n\{" % name, self.header, re.M)
            if not m:
                raise SystemExit("mutants.py: test.c uses %s, which is no function" % name)
            hooks += m.group(1) + ";\n"
        with open(tmp + "/hooks.h", "w") as f:
            f.write(hooks)
        self.tests, times, self.explained = {}, {}, {}
        for line in open(".ci/mutants.txt"):
            if line.strip() and not line.startswith("# "):
                change, reason = line.rstrip("\n").split("  -- ")
                self.explained[change] = reason
        self.unchanged = self.compile("whole", self.header, "same")
        for kind in ("plain", "sane"):
            self.compile("whole", self.header, kind)
            must(["gcc", "-w", "-D_GNU_SOURCE", "-DOCM_IMPLEMENTED", "-I.", "-include",
                  tmp + "/hooks.h", "-o", "%s/core-%s" % (tmp, kind), ".ci/core.c",
                  "-L%s/whole" % tmp, "-l:libocm-%s.so" % kind] +
                 (SANITIZE if kind == "sane" else ["-O1"]))
        lines = self.run_core("whole", "plain", ["times"]).stdout.decode().split("\n")
        if not lines[-2].endswith(" 0 failed"):
            raise SystemExit("mutants.py: the unchanged header fails:\n" + "\n".join(lines))
        for line in lines:
            m = re.fullmatch(r"(\w+) (\d+)", line)
            if m:
                times[m.group(1)] = int(m.group(2))
        order = sorted(times, key=lambda name: times[name])
        self.tests["plain"] = ["%s:%d" % (n, 10 * times[n] + 300) for n in order]
        self.tests["sane"] = ["%s:60000" % n for n in order if times[n] <= QUICK_MS]
        if not self.survives("whole", "sane"):
            raise SystemExit("mutants.py: the unchanged header fails under the sanitizers")

    def compile(self, name, header, kind):
        """The object's bytes, or None if it does not compile."""
        where = "%s/%s" % (self.tmp, name)
        os.makedirs(where, exist_ok=True)
        for private in self.private:
            header = re.sub(r"^static ([^;{}]*\b%s\([^)]*\)\n\{)" % private, r"\1", header, count=1,
                            flags=re.M)
        with open(where + "/ocm.h", "w") as f:
            f.write(header)
        with open(where + "/ocm.c", "w") as f:
            f.write("#define OCM_IMPLEMENTATION\n#include \"ocm.h\"\n")
        out = "libocm-%s.so" % kind
        # From inside the directory: no object may differ by its path.
        done = run(KINDS[kind] + ["-w", "-o", out, "ocm.c"], cwd=where)
        if done.returncode:
            return None
        with open(where + "/" + out, "rb") as f:
            return f.read()

    def run_core(self, name, kind, arguments):
        """The tests, with the library of that directory."""
        environment = dict(os.environ, LD_LIBRARY_PATH="%s/%s" % (self.tmp, name))
        return run(["%s/core-%s" % (self.tmp, kind)] + arguments, env=environment,
                   preexec_fn=bounded)

    def survives(self, name, kind):
        return self.run_core(name, kind, self.tests[kind]).returncode == 0

    def judge(self, name, mutant):
        """stillborn, killed, same, explained, or survived."""
        begin, end, new = mutant
        header = self.header[:begin] + new + self.header[end:]
        if self.compile(name, header, "plain") is None:
            return "stillborn"
        if not self.survives(name, "plain"):
            return "killed"
        if self.compile(name, header, "same") == self.unchanged:
            return "same"
        if self.change(mutant) in self.explained:
            return "explained"
        self.compile(name, header, "sane")
        return "survived" if self.survives(name, "sane") else "killed"

    def describe(self, mutant):
        return "ocm.h:%d: %s" % (self.header.count("\n", 0, mutant[0]) + 1, self.change(mutant))

    def change(self, mutant):
        begin, end, new = mutant
        from_line = self.header.rfind("\n", 0, begin) + 1
        to_line = self.header.find("\n", end)
        text = self.header[from_line:begin] + "[" + self.header[begin:end] + " => " + new + "]" + \
            self.header[end:to_line]
        return " ".join(text.split())


def main():
    tmp = sys.argv[1] + "/mutants"
    os.makedirs(tmp, exist_ok=True)
    count = sys.argv[2] if len(sys.argv) > 2 else "120"
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 1e9
    began = time.time()
    bench = Bench(tmp)
    mutants = all_mutants(bench.header)
    if len(sys.argv) > 6:
        first, last = int(sys.argv[5]), int(sys.argv[6])
        mutants = [m for m in mutants if first <= bench.header.count("\n", 0, m[0]) + 1 <= last]
    mutants.sort(key=lambda m: hashlib.sha1(("%d %s" % (seed, bench.change(m))).encode()).digest())
    if count != "all":
        mutants = mutants[:int(count)]
    found = {"stillborn": [], "killed": [], "same": [], "explained": [], "survived": []}
    lock = threading.Lock()
    names = {}

    def one(mutant):
        if time.time() - began > seconds:
            return
        with lock:
            name = names.setdefault(threading.get_ident(), "worker%d" % len(names))
        verdict = bench.judge(name, mutant)
        with lock:
            found[verdict].append(mutant)
            judged = sum(len(of) for of in found.values())
            if judged % 100 == 0:
                print("%d judged, %d survived" % (judged, len(found["survived"])), flush=True)
            if verdict != "killed":
                with open(tmp + "/../mutants.txt", "a") as f:
                    f.write("%s %s\n" % (verdict, bench.describe(mutant)))

    open(tmp + "/../mutants.txt", "w").close()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in pool.map(one, mutants):
            pass
    killed, survived = len(found["killed"]), sorted(found["survived"])
    total = killed + len(survived)
    score = 100.0 * killed / total if total else 0.0
    for mutant in survived:
        print(bench.describe(mutant))
    print("%d mutants in %d s: %d killed, %d survived, %d change nothing, %d explained, "
          "%d do not compile" %
          (sum(len(of) for of in found.values()), time.time() - began, killed, len(survived),
           len(found["same"]), len(found["explained"]), len(found["stillborn"])))
    print("score %.1f %%" % score)
    return 0 if score >= 95 else 1


if __name__ == "__main__":
    sys.exit(main())
