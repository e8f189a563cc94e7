"""Collects the 2,000 sentences of sentences.txt.

    python make.py HF_DIR > sentences.txt

Reads manual pages and package descriptions of a Debian machine and written.txt (lines written for
this corpus, in many scripts), cuts them into sentences, drops what is not a clean sentence, and
picks by token count under the tokenizer in HF_DIR so that the lengths are spread as in real use:
log-normal, mean 34 tokens, 5 % above 76, and a few lines beyond the model's 256 tokens, one of them
beyond 512.
Lengths matter more than topics here: they decide which tile edges and which attention blocks run.

The same packages give the same lines. The committed sentences.txt is the truth all the same:
another release of Debian has other manuals, so this script documents the choice rather than repeats
it.
"""

import argparse
import collections
import hashlib
import math
import pathlib
import re
import statistics
import subprocess
import sys

N_LINES = 2000
# Lines longer than the model reads: truncation at 256, and at 512 positions, has to be seen.
LONG_TARGETS = [258, 270, 300, 350, 420, 560]
# Log-normal: exp(mu + sigma^2 / 2) = 33 before the long lines, exp(mu + 1.645 sigma) = 76.
MU, SIGMA = 3.29, 0.635

# Manuals by prefix of the page's name: prose, of packages that every Debian machine can install.
PAGES = """
bash dash grep sed find xargs tar gzip bzip2 xz zstd diff patch less make awk bc ed file man apropos
ls cp mv rm sort uniq cut tail head date dd df du chmod chown ln mkdir touch stat split join paste
tr wc tee timeout nice nohup shuf seq env expr factor fmt fold csplit comm install id kill sleep
test python3 perl git git-add git-bisect git-blame git-branch git-checkout git-clone git-commit
git-config git-diff git-fetch git-grep git-gc git-log git-merge git-pull git-push git-rebase
git-reset git-revert git-stash git-submodule git-tag git-worktree gitfaq gitglossary gittutorial
gitworkflows giteveryday gitignore cmake cmake-buildsystem cmake-language cmake-packages
cmake-commands cmake-policies cmake-variables ssh ssh-agent ssh-keygen ssh_config openssl curl wget
dpkg dpkg-deb apt apt-get deb-version deb-triggers debconf systemd systemd.unit systemd.service
systemd.exec systemd.timer systemd.socket systemd.special systemctl journalctl bootup daemon
file-hierarchy SELECT INSERT UPDATE CREATE_TABLE CREATE_INDEX CREATE_VIEW CREATE_FUNCTION
ALTER_TABLE EXPLAIN VACUUM COPY GRANT MERGE psql pg_dump capabilities cgroups epoll fanotify inotify
namespaces user_namespaces pid_namespaces signal socket tcp udp ip unix utf-8 unicode charsets
locale regex time random pipe fifo symlink inode credentials sched futex mmap open read write fork
execve clone ptrace malloc printf scanf strftime clang ld as objdump strace valgrind
""".split()

# Given names and titles that would point at a person; whole words, upper-case first letter.
NAMES = """
Adam Alan Albert Alex Alexander Alice Andreas Andrew Anna Anthony Ben Bernard Bill Bob Brian Bruce
Bruno Carl Carol Charles Chris Christian Colin Daniel Dave David Dennis Donald Doug Douglas Ed
Edward Eric Erik Eve Frank Fred Gary George Graham Greg Guido Hans Harry Henry Ian Ingo Jack James
Jan Jane Jason Jean Jeff Jeremy Jim Joe Joey John Jon Jonathan Joseph Julian Karl Keith Ken Kevin
Lars Larry Lennart Linus Luke Marc Marco Marcus Mark Markus Martin Mary Matt Matthew Michael Mike Mr
Mrs Neil Nick Nicolas Olaf Oliver Oscar Patrick Paul Pete Peter Phil Philip Ralph Ray Richard Rob
Robert Roger Roland Ron Russell Sam Scott Sean Sergey Simon Stefan Stephen Steve Steven Stuart Sven
Ted Terry Theodore Thomas Tim Tom Tony Ulrich Victor Vincent Walter Warren Wayne Werner William
Wolfgang Knuth Torvalds Stallman Ritchie Thompson Kernighan Dickey Gailly Adler Seward Larry Wall
Randal Schwartz Macdonald Fox Ramey Eggert Haertel MacKenzie Meyering Drepper Dijkstra
""".split()

NOISE = re.compile(
    r"[@{}<>|\\=_$#~^*`\[\]\x00-\x1f]|://|www\.|--|\.\.\.|(^|[\s\"'(])[~.]?/\w|\S/\S+/|"
    r"\b(copyright|copyrighted|written by|maintainer|mailing list|authors?|bug reports?|"
    r"report bugs|licen[cs]e|all rights|see also|homepage|e-?mail)\b|\(\d\w*\)|\b0x|[A-Z]:", re.I)
MARKS = "\u2018\u2019\u201c\u201d\u2013\u2014\u2022"  # quotation marks, dashes, bullet
ABBREVIATION = re.compile(r"(\b(e\.g|i\.e|etc|vs|cf|resp|Inc|approx|No|St|Fig|viz|al)|\b[A-Z])\.$")
BLANK = re.compile(r"\s+")


def paragraphs_of_page(page):
    """The page as one line a paragraph. A tag that shares its line ("-x   Foo") is cut off."""
    command = ["man", "-E", "UTF-8", "--no-hyphenation", "--no-justification", page]
    environment = {"MANWIDTH": "20000", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    result = subprocess.run(command, env=environment, capture_output=True, check=False)
    if result.returncode != 0:
        print(f"no manual page {page}: left out", file=sys.stderr)
    text = re.sub(r".\x08|\x1b\[[0-9;]*m", "", result.stdout.decode("utf-8", "replace"))
    for line in text.split("\n"):
        yield re.split(r"(?<![.!?:]) {2,}", line.strip())[-1]


def paragraphs_of_packages():
    """Long descriptions of the installed packages; a line " ." ends a paragraph."""
    command = ["dpkg-query", "-W", "-f", "${Description}\\n\\n"]
    result = subprocess.run(command, capture_output=True, check=True)
    text = result.stdout.decode("utf-8", "replace")
    for paragraph in re.split(r"\n \.\n|\n\n|\n(?=\S)", text):
        lines = paragraph.split("\n")
        if all(line.startswith(" ") and not line.startswith("  ") for line in lines):
            yield " ".join(line.strip() for line in lines)


def sentences_of(paragraph):
    parts, start = [], 0
    for match in re.finditer(r"[.!?][\")]?\s+(?=[A-Z\"(])", paragraph):
        head = paragraph[start:match.end()].strip()
        if ABBREVIATION.search(head):
            continue
        parts.append(head)
        start = match.end()
    parts.append(paragraph[start:].strip())
    return [BLANK.sub(" ", part) for part in parts]


def clean(sentence, first):
    if not re.match(r"[A-Z][a-z']*[ ,]", sentence) or not re.search(r"[a-z\")][.!?]$", sentence):
        return False
    if NOISE.search(sentence) or any(name in re.findall(r"\w+", sentence) for name in NAMES):
        return False
    if sentence.count("(") != sentence.count(")") or sentence.count('"') % 2:
        return False
    # "RANDOM Each time this ...": a tag that ran into the first sentence of its paragraph.
    if first and re.match(r"\S+( \S+)? [A-Z][a-z]", sentence):
        return False
    letters = sum(c.islower() or c == " " for c in sentence)
    return letters >= 0.86 * len(sentence) and all(c.isascii() or c in MARKS for c in sentence)


def collect():
    """-> lines, long lines: sentences and runs of sentences of one paragraph; and, as no paragraph
    is longer than the model reads, runs of the clean sentences of a page, across paragraphs."""
    sources = [paragraphs_of_page(page) for page in dict.fromkeys(PAGES)]
    sources.append(paragraphs_of_packages())
    lines, long_lines = {}, {}
    for paragraphs in sources:
        page = []
        for paragraph in paragraphs:
            parts = sentences_of(paragraph)
            good = [clean(part, i == 0) for i, part in enumerate(parts)]
            for part in (part for part, is_good in zip(parts, good) if is_good):
                lines.setdefault(part)
                page.append(part)
            for i in range(len(parts)):
                for n in range(3, 30):
                    if i + n <= len(parts) and all(good[i:i + n]):
                        lines.setdefault(" ".join(parts[i:i + n]))
        for i in range(0, len(page) - 30, 30):
            for n in range(9, 30):
                long_lines.setdefault(" ".join(page[i:i + n]))
    # Two capitalised words in a row of which one is never written small are likely a person's name.
    words = collections.Counter(w for line in lines for w in re.findall(r"\b[a-z]+\b", line))

    def names_somebody(line):
        pairs = re.findall(r"(?<=[a-z,)] )([A-Z][a-z]+) ([A-Z][a-z]+)", line)
        return any(words[w.lower()] < 3 for pair in pairs for w in pair)

    return [[line for line in group if not names_somebody(line)] for group in (lines, long_lines)]


def order(text):
    return hashlib.sha256(text.encode()).digest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("hf_dir", help="model folder with a tokenizer, for the token counts")
    arguments = parser.parse_args()

    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(arguments.hf_dir)

    def count(lines):
        return [len(ids) for ids in tokenizer(lines, truncation=False)["input_ids"]]

    here = pathlib.Path(__file__).parent
    chosen = (here / "written.txt").read_text(encoding="utf-8").splitlines()
    lengths = count(chosen)
    lines, long_lines = (sorted(group, key=order) for group in collect())
    pool = collections.defaultdict(list)
    for line, n in zip(lines, count(lines)):
        pool[n].append(line)
    for line, n in zip(long_lines, count(long_lines)):
        if n > 256:
            pool[n].append(line)

    # Target lengths are the quantiles of the log-normal; the written lines take the nearest ones.
    normal = statistics.NormalDist()
    n_targets = N_LINES - len(LONG_TARGETS)
    targets = [math.exp(MU + SIGMA * normal.inv_cdf((i + 0.5) / n_targets))
               for i in range(n_targets)]
    targets = [min(250, max(3, round(target))) for target in targets]
    for n in lengths:
        targets.remove(min(targets, key=lambda t: abs(t - n)))
    taken = []  # longest first: no line may be a part of a longer one
    for target in sorted(targets + LONG_TARGETS, reverse=True):
        for n in sorted(pool, key=lambda n: (abs(n - target), n)):
            new = (line for line in pool[n] if all(line not in longer for longer in taken))
            found = next(new, None)
            if found:
                pool[n].remove(found)
                taken.append(found)
                break
    result = sorted(chosen + taken, key=order)
    if len(set(result)) != N_LINES:
        sys.exit(f"{len(set(result))} lines instead of {N_LINES}")
    sys.stdout.write("".join(line + "\n" for line in result))

    lengths = sorted(count(result))
    over = {n: sum(length > n for length in lengths) for n in (76, 128, 256, 512)}
    print(f"{len(lines)} candidates; tokens: mean {statistics.mean(lengths):.1f}, "
          f"median {statistics.median(lengths)}, least {lengths[0]}, most {lengths[-1]}, "
          f"3-5: {sum(n <= 5 for n in lengths)}, over {over}", file=sys.stderr)


if __name__ == "__main__":
    main()
