"""Who people are, and what they do."""

import itertools

from corpus import words as w
from corpus.grammar import (a, am, counted, do, do_not, is_, is_not, like, sentence, verb, want,
                            was, was_not)
from corpus.templates import about_people, template


@about_people(400)
def profession(people):
    for who, (zh, en) in itertools.product(people, w.PROFESSIONS):
        job = en + "s" if who.person == "they" else a(en)
        yield f"{who.zh}是{zh}", sentence(f"{is_(who)} {job}")
        yield f"{who.zh}不是{zh}", sentence(f"{is_not(who)} {job}")
        yield f"{who.zh}是{zh}吗？", sentence(f"{am(who)} {who.en} {job}", "?")


@template(200)
def age():
    ages = [(w.PRONOUNS[:4], 5, 90), (w.NAMED, 5, 60), (w.kin(w.ELDERS), 60, 99),
            (w.kin(w.PARENTS), 30, 70), (w.kin(w.SIBLINGS[:4]), 3, 40), (w.kin(w.CHILDREN), 2, 30)]
    for people, low, high in ages:
        for who, n in itertools.product(people, range(low, high + 1)):
            zh, en = w.count(n)
            yield f"{who.zh}{zh}岁", sentence(f"{is_(who)} {en} years old")


@about_people(180)
def works(people):
    for who, (zh, en) in itertools.product(people, w.WORKPLACES):
        place = f"work in {a(en)}"
        yield f"{who.zh}在{zh}工作", sentence(f"{verb(who, 'work', 'works')} in {a(en)}")
        yield f"{who.zh}不在{zh}工作", sentence(f"{do_not(who)} {place}")
        yield f"{who.zh}在{zh}工作吗？", sentence(f"{do(who)} {who.en} {place}", "?")


@about_people(180)
def lives(people):
    for who in people:
        yield f"{who.zh}住在哪里？", sentence(f"where {do(who)} {who.en} live", "?")
        for zh, en in w.CITIES:
            yield f"{who.zh}住在{zh}", sentence(f"{verb(who, 'live', 'lives')} in {en}")
            yield f"{who.zh}不住在{zh}", sentence(f"{do_not(who)} live in {en}")
            yield f"{who.zh}住在{zh}吗？", sentence(f"{do(who)} {who.en} live in {en}", "?")


@about_people(180)
def feels(people):
    for who, (zh, en) in itertools.product(people, w.FEELINGS):
        yield f"{who.zh}很{zh}", sentence(f"{is_(who)} very {en}")
        yield f"{who.zh}不{zh}", sentence(f"{is_not(who)} {en}")
        yield f"{who.zh}{zh}吗？", sentence(f"{am(who)} {who.en} {en}", "?")
        yield f"{who.zh}为什么这么{zh}？", sentence(f"why {am(who)} {who.en} so {en}", "?")


@about_people(100)
def felt(people):
    for who, (zh, en), (when, time) in itertools.product(people, w.FEELINGS, w.PAST):
        yield f"{when}{who.zh}很{zh}", sentence(f"{who.en} {was(who)} very {en} {time}")
        yield f"{when}{who.zh}不{zh}", sentence(f"{was_not(who)} {en} {time}")


@about_people(200)
def has(people):
    for who, thing in itertools.product(people, w.PETS):
        zh = thing.classifier + thing.zh
        for n in range(1, 6):
            few, a_few = w.count(n)
            owned = counted(n, a_few, thing)
            yield f"{who.zh}有{few}{zh}", sentence(f"{verb(who, 'have', 'has')} {owned}")
        if thing.one != "child":
            yield f"{who.zh}没有{thing.zh}", sentence(f"{do_not(who)} have {a(thing.one)}")
            yield f"{who.zh}有{thing.zh}吗？", sentence(
                f"{do(who)} {who.en} have {a(thing.one)}", "?")
        yield f"{who.zh}有几{zh}？", sentence(f"how many {thing.many} {do(who)} {who.en} have", "?")


# ---- what people do


@about_people(220)
def likes(people):
    for who, act in itertools.product(people, w.ACTIVITIES):
        doing = act.gerund + act.habit
        yield f"{who.zh}喜欢{act.zh}", sentence(f"{like(who)} {doing}")
        yield f"{who.zh}不喜欢{act.zh}", sentence(f"{do_not(who)} like {doing}")
        yield f"{who.zh}喜欢{act.zh}吗？", sentence(f"{do(who)} {who.en} like {doing}", "?")


@about_people(220)
def is_doing(people):
    for who, act in itertools.product(people, w.ACTIVITIES):
        doing = act.gerund + act.event
        yield f"{who.zh}正在{act.zh}", sentence(f"{is_(who)} {doing}")
        yield f"{who.zh}正在{act.zh}吗？", sentence(f"{am(who)} {who.en} {doing}", "?")
        if act in w.INDOORS:
            yield f"{who.zh}正在家里{act.zh}", sentence(f"{is_(who)} {doing} at home")


@about_people(220)
def does_every_day(people):
    for who, act, (when, time) in itertools.product(people, w.ACTIVITIES, w.EVERY):
        does = verb(who, act.base, act.third) + act.habit
        yield f"{who.zh}{when}{act.zh}", sentence(f"{does} {time}")
        yield f"{when}{who.zh}{act.zh}", sentence(f"{does} {time}")


@about_people(300)
def did(people):
    for who, act, (when, time) in itertools.product(people, w.ACTIVITIES, w.PAST):
        home = ("在家", " at home") if act in w.INDOORS else ("", "")
        yield f"{when}{who.zh}{home[0]}{act.zh}了", sentence(
            f"{who.en} {act.past}{act.event}{home[1]} {time}")
        yield f"{when}{who.zh}没有{act.zh}", sentence(f"{who.en} didn't {act.base}{act.event} {time}")
        yield f"{when}{who.zh}{act.zh}了吗？", sentence(
            f"did {who.en} {act.base}{act.event} {time}", "?")


@about_people(220)
def will_do(people):
    for who, act, (when, time) in itertools.product(people, w.ACTIVITIES, w.FUTURE):
        does = f"going to {act.base}{act.event} {time}"
        yield f"{who.zh}{when}要{act.zh}", sentence(f"{is_(who)} {does}")
        yield f"{when}{who.zh}要{act.zh}", sentence(f"{is_(who)} {does}")
        yield f"{who.zh}{when}不{act.zh}", sentence(f"{is_not(who)} {does}")


@about_people(180)
def wants_to(people):
    for who, act in itertools.product(people, w.ACTIVITIES):
        to_do = f"to {act.base}{act.event}"
        yield f"{who.zh}想{act.zh}", sentence(f"{want(who)} {to_do}")
        yield f"{who.zh}不想{act.zh}", sentence(f"{do_not(who)} want {to_do}")
        yield f"{who.zh}想{act.zh}吗？", sentence(f"{do(who)} {who.en} want {to_do}", "?")
