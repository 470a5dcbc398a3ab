"""Prints the head of proof.acsl, and ocm.h with the contracts of proof.acsl in it, up to the last
function that has one: proof.py ocm.h proof.acsl"""
import re
import sys

header, contracts = (open(name, encoding="utf-8").read() for name in sys.argv[1:])
head, *contracts = re.split(r"^\[(\w+)\].*\n", contracts, flags=re.M)
end = 0
for name, text in zip(contracts[::2], contracts[1::2]):
    contract, *loops = re.split(r"^loop\n", text, flags=re.M)
    found = re.findall(rf"^(?:static|OCM_API) [^;{{}}]*\b{name}\([^;{{}}]*\)\n{{\n.*?^}}\n", header,
                       re.M | re.S)
    if len(found) != 1:
        sys.exit(f"{name}: ocm.h has {len(found)} functions of that name")
    code = re.sub(r"/\*.*?\*/", "", found[0], flags=re.S)
    pieces = re.split(r"\b(?=(?:for|while|do)\b)", code)
    if len(pieces) != 1 + len(loops):
        sys.exit(f"{name}: it has {len(pieces) - 1} loops, and proof.acsl {len(loops)}")
    code = contract + pieces[0] + "".join(a + b for a, b in zip(loops, pieces[1:]))
    header = header.replace(found[0], code)
    end = max(end, header.index(code) + len(code))
print(head + header[:end] + "#endif\n#endif")
