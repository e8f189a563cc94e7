"""Food, shopping, travel, and sentences of two clauses."""

import itertools

from corpus import words as w
from corpus.grammar import (a, am, counted, do, do_not, is_, like, pointed, sentence, verb, want,
                            will)
from corpus.templates import about_people, about_places, placed, template

FEW = range(1, 7)


# ---- food


MEALS = [("吃" + zh, "eat", en) for zh, en in w.DISHES] + [
    ("喝" + zh, "drink", en) for zh, en in w.DRINKS]


@about_people(260)
def eats(people):
    for who, (zh, base, food) in itertools.product(people, MEALS):
        yield f"{who.zh}喜欢{zh}", sentence(f"{like(who)} {food}")
        yield f"{who.zh}不喜欢{zh}", sentence(f"{do_not(who)} like {food}")
        yield f"{who.zh}喜欢{zh}吗？", sentence(f"{do(who)} {who.en} like {food}", "?")
        yield f"{who.zh}想{zh}", sentence(f"{want(who)} to {base} {food}")
        yield f"{who.zh}不想{zh}", sentence(f"{do_not(who)} want to {base} {food}")
        yield f"{who.zh}想{zh}吗？", sentence(f"{do(who)} {who.en} want to {base} {food}", "?")


@about_people(180)
def ate(people):
    for who, (zh, base, food) in itertools.product(people, MEALS):
        past = {"eat": "ate", "drink": "drank"}[base]
        for when, time in w.PAST:
            yield f"{when}{who.zh}{zh[0]}了{zh[1:]}", sentence(f"{who.en} {past} {food} {time}")
            yield f"{when}{who.zh}没有{zh}", sentence(f"{who.en} didn't {base} {food} {time}")
        for when, time in w.EVERY:
            eats_it = verb(who, base, base + "s")
            yield f"{who.zh}{when}{zh}", sentence(f"{eats_it} {food} {time}")


def portions():
    english = dict(w.DISHES + w.DRINKS)
    for classifier, one, many, foods in w.PORTIONS:
        for food, n in itertools.product(foods, FEW):
            zh, en = w.count(n)
            amount = a(one) if n == 1 else f"{en} {many}"
            yield f"{zh}{classifier}{food}", f"{amount} of {english[food]}"
    for thing, n in itertools.product(w.GROCERIES, FEW):
        zh, en = w.count(n)
        yield f"{zh}{thing.classifier}{thing.zh}", counted(n, en, thing)


@template(180)
def please_give():
    for zh, en in portions():
        yield f"请给我{zh}", f"Please give me {en}"
        yield f"我要{zh}", f"I'd like {en}"
        yield f"请给我们{zh}", f"Please give us {en}"


@template(60)
def tastes():
    dishes = {"面条": "are", "饺子": "are", "蔬菜": "are"}
    for (zh, en), (taste, tasty) in itertools.product(w.DISHES, w.TASTES):
        if zh != "水果":
            yield f"{zh}{taste}", f"The {en} {dishes.get(zh, 'is')} {tasty}"


# ---- shopping


ITEMS = w.CLOTHES + w.GOODS


@template(17)
def how_much():
    for thing in ITEMS:
        this, is_or_are = pointed(thing)
        yield f"这{thing.classifier}{thing.zh}多少钱？", f"How much {is_or_are} {this}?"


@template(60)
def judged():
    for thing, (zh, en) in itertools.product(ITEMS, w.JUDGEMENTS):
        this, is_or_are = pointed(thing)
        yield f"这{thing.classifier}{thing.zh}{zh}", sentence(f"{this} {is_or_are} {en}")


@template(150)
def costs():
    for thing, n in itertools.product(ITEMS, range(2, 100)):
        zh, en = w.count(n)
        this, is_or_are = pointed(thing)
        cost = "cost" if is_or_are == "are" else "costs"
        yield f"这{thing.classifier}{thing.zh}{zh}块钱", sentence(f"{this} {cost} {en} yuan")


def colored(thing, color, shade):
    return thing._replace(zh=f"{color}的{thing.zh}", one=f"{shade} {thing.one}",
                          many=f"{shade} {thing.many}")


@about_people(220)
def buys(people):
    for who, thing, (color, shade) in itertools.product(people, ITEMS, w.COLORS):
        zh = f"一{thing.classifier}{color}的{thing.zh}"
        en = counted(1, "", colored(thing, color, shade))
        yield f"{who.zh}想买{zh}", sentence(f"{want(who)} to buy {en}")
        for when, time in w.PAST:
            yield f"{when}{who.zh}买了{zh}", sentence(f"{who.en} bought {en} {time}")


@about_people(280)
def buys_some(people):
    for who, thing, n in itertools.product(people, ITEMS + w.GROCERIES, FEW):
        zh, few = w.count(n)
        en = counted(n, few, thing)
        yield f"{who.zh}买了{zh}{thing.classifier}{thing.zh}", sentence(f"{who.en} bought {en}")
        yield f"{who.zh}想买{zh}{thing.classifier}{thing.zh}", sentence(f"{want(who)} to buy {en}")


# ---- travel


def ways():
    """Where to and how: 去北京, 坐火车去北京, to Beijing by train."""
    by = [("坐" + zh, " by " + en) for zh, en in w.VEHICLES]
    for zh, en in w.CITIES:
        yield from [(f"{how}去", zh, f"to {en}{way}") for how, way in [("", "")] + by]
    for zh, en in w.BUILDINGS:
        yield from [("去", zh, f"to the {en}"), ("坐公共汽车去", zh, f"to the {en} by bus")]


@about_people(330)
def goes(people):
    for who, (go, goal, there) in itertools.product(people, ways()):
        if go == "去":
            when_going = f"when {am(who)} {who.en} going {there}"
            yield f"{who.zh}什么时候去{goal}？", sentence(when_going, "?")
        for when, time in w.FUTURE:
            going = f"going {there} {time}"
            yield f"{who.zh}{when}要{go}{goal}", sentence(f"{is_(who)} {going}")
            yield f"{who.zh}{when}要{go}{goal}吗？", sentence(f"{am(who)} {who.en} {going}", "?")
        for when, time in w.PAST:
            yield f"{who.zh}{when}{go}了{goal}", sentence(f"{who.en} went {there} {time}")
            yield f"{who.zh}{when}没有{go}{goal}", sentence(f"{who.en} didn't go {there} {time}")


@template(56)
def finds():
    for zh, en in w.BUILDINGS:
        yield f"{zh}在哪里？", f"Where is the {en}?"
        yield f"怎么去{zh}？", f"How do I get to the {en}?"
        yield f"附近有{zh}吗？", f"Is there {a(en)} nearby?"
        yield f"{zh}远吗？", f"Is the {en} far?"


@template(120)
def lies():
    for (zh, en), (side, by) in itertools.product(itertools.permutations(w.BUILDINGS, 2), w.SIDES):
        yield f"{zh[0]}在{en[0]}{side}", f"The {zh[1]} is {by} the {en[1]}"


@template(100)
def takes_hours():
    for start, end in itertools.permutations(w.CITIES, 2):
        by_land = start in w.CHINESE_CITIES and end in w.CHINESE_CITIES
        vehicles = w.VEHICLES[:3] if by_land else w.VEHICLES[1:2]
        for (zh, en), n in itertools.product(vehicles, range(2, 13)):
            hours, long = w.count(n)
            yield (f"从{start[0]}到{end[0]}坐{zh}要{hours}个小时",
                   f"It takes {long} hours to get from {start[1]} to {end[1]} by {en}")


@template(100)
def tickets():
    for (zh, en), (goal, name), n in itertools.product(w.VEHICLES, w.CITIES, FEW):
        many, count = w.count(n)
        ticket = a(f"{en} ticket") if n == 1 else f"{count} {en} tickets"
        yield f"请给我{many}张去{goal}的{zh}票", f"Please give me {ticket} to {name}"
        yield f"我想买{many}张去{goal}的{zh}票", f"I want to buy {ticket} to {name}"


# ---- two clauses


@about_people(200)
def if_weather(people):
    conditions = [(f"下{zh}", f" {base}s") for zh, base, _ in w.FALLS]
    conditions += [(f"很{zh}", f"'s very {en}") for zh, en in w.WEATHERS[:2]]
    for (zh, en), (when, time), who, act in itertools.product(
            conditions, w.FUTURE, people, w.INDOORS):
        yield (f"如果{when}{zh}，{who.zh}就在家{act.zh}",
               f"If it{en} {time}, {will(who)} {act.base}{act.event} at home")


@about_people(200)
def because_weather(people):
    for (zh, _, en), (when, time), who, act in itertools.product(
            w.FALLS, w.PAST, people, w.OUTDOORS):
        yield (f"因为{when}下{zh}了，所以{who.zh}没有{act.zh}",
               f"Because it {en} {time}, {who.en} didn't {act.base}{act.event}")


@about_places(100)
def do_not_forget(places):
    things = [("带伞", "umbrella"), ("穿大衣", "coat"), ("戴帽子", "hat"), ("戴手套", "gloves"),
              ("戴围巾", "scarf"), ("穿毛衣", "sweater")]
    for zh, en in things:
        for where, there in placed([("今天", "today"), ("现在", "now")], places):
            yield f"{where}很冷，别忘了{zh}", f"It's very cold{there}, so don't forget your {en}"
        for where, there in placed(w.FUTURE, places):
            yield f"{where}会下雨，别忘了{zh}", f"It will rain{there}, so don't forget your {en}"
            yield f"{where}会下雪，别忘了{zh}", f"It will snow{there}, so don't forget your {en}"
            yield f"{where}会很冷，别忘了{zh}", f"It will be very cold{there}, so don't forget your {en}"
