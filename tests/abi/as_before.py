"""Prints the dump NEW less what docs/abi.md allows to be added: fields of structs that begin with
struct_size, from where those of OLD end, its padding included; and enumerators. What is left must
be OLD, which abidiff says. (Its own suppressions hide other changes of the same structs.)

    as_before.py OLD NEW
"""
import sys
import xml.etree.ElementTree as ElementTree


def by_name(corpus, tag):
    return {node.get("name"): node for node in corpus.iter(tag) if not node.get("is-declaration-only")}


def grows(struct):
    """Whether a struct's first field tells which version of it a program has."""
    fields = struct.findall("data-member")
    return bool(fields) and fields[0].find("var-decl").get("name") == "struct_size"


def cut(struct, bits):
    for field in struct.findall("data-member"):
        if int(field.get("layout-offset-in-bits")) >= bits:
            struct.remove(field)
    struct.set("size-in-bits", str(bits))


def main():
    old, new = (ElementTree.parse(path).getroot() for path in sys.argv[1:])
    new_structs = by_name(new, "class-decl")
    for name, struct in by_name(old, "class-decl").items():
        bits = int(struct.get("size-in-bits"))
        if grows(struct) and name in new_structs and int(new_structs[name].get("size-in-bits")) > bits:
            cut(new_structs[name], bits)
    new_enums = by_name(new, "enum-decl")
    for name, enum in by_name(old, "enum-decl").items():
        known = {value.get("name") for value in enum.findall("enumerator")}
        for value in new_enums[name].findall("enumerator") if name in new_enums else []:
            if value.get("name") not in known:
                new_enums[name].remove(value)
    print(ElementTree.tostring(new, encoding="unicode"))


main()
