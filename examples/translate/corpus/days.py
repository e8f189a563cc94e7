"""Weather, time, dates, greetings."""

import itertools

from corpus import words as w
from corpus.grammar import sentence, verb
from corpus.templates import about_people, about_places, placed, template

HOURS = range(1, 13)


# ---- weather


@about_places(170)
def beautiful_day(places):
    for zh, en in [("很好", "beautiful"), ("很糟糕", "terrible")]:
        for where, there in placed([("今天", "today")], places):
            yield f"{where}天气{zh}", f"It's a {en} day{there}"
        for where, there in placed(w.PAST_DAYS, places):
            yield f"{where}天气{zh}", f"It was a {en} day{there}"
        for where, there in placed(w.FUTURE_DAYS, places):
            yield f"{where}天气会{zh}", f"It will be a {en} day{there}"


@about_places(130)
def weather_now(places):
    for where, there in placed([("今天", "today"), ("现在", "now")], places):
        for zh, en in w.WEATHERS:
            yield f"{where}很{zh}", f"It's very {en}{there}"
            yield f"{where}不{zh}", f"It isn't {en}{there}"
            yield f"{where}{zh}吗？", f"Is it {en}{there}?"


@about_places(180)
def weather_then(places):
    for zh, en in w.WEATHERS:
        for where, there in placed(w.PAST, places):
            yield f"{where}很{zh}", f"It was very {en}{there}"
            yield f"{where}不{zh}", f"It wasn't {en}{there}"
        for where, there in placed(w.FUTURE, places):
            yield f"{where}会很{zh}", f"It will be very {en}{there}"
            yield f"{where}不会很{zh}", f"It won't be very {en}{there}"
            yield f"{where}会很{zh}吗？", f"Will it be very {en}{there}?"


@about_places(230)
def rain(places):
    for zh, base, past in w.FALLS:
        for where, there in placed([("现在", "now")], places):
            yield f"{where}正在下{zh}", f"It's {base}ing{there}"
            yield f"{where}没有下{zh}", f"It isn't {base}ing{there}"
        for where, there in placed([("今天", "today")], places):
            yield f"{where}下{zh}", f"It's {base}ing{there}"
        for where, there in placed(w.PAST, places):
            yield f"{where}下{zh}了", f"It {past}{there}"
            yield f"{where}没有下{zh}", f"It didn't {base}{there}"
            yield f"{where}下{zh}了吗？", f"Did it {base}{there}?"
        for where, there in placed(w.FUTURE, places):
            yield f"{where}会下{zh}", f"It will {base}{there}"
            yield f"{where}不会下{zh}", f"It won't {base}{there}"
            yield f"{where}会下{zh}吗？", f"Will it {base}{there}?"


@about_places(70)
def ask_weather(places):
    for where, there in placed([("今天", "today")], places):
        yield f"{where}天气怎么样？", f"What's the weather like{there}?"
    for where, there in placed(w.PAST_DAYS, places):
        yield f"{where}天气怎么样？", f"What was the weather like{there}?"
    for where, there in placed(w.FUTURE_DAYS, places):
        yield f"{where}天气怎么样？", f"What will the weather be like{there}?"


# ---- time


def clock():
    for hour in HOURS:
        zh, en = w.count(hour)
        yield hour, f"{zh}点", f"{en} o'clock"
        yield hour, f"{zh}点半", f"half past {en}"
        yield hour, f"{zh}点一刻", f"quarter past {en}"
        yield hour, f"差一刻{zh}点", f"quarter to {en}"
        for minutes in (5, 10, 20):
            few, a_few = w.number(minutes)
            yield hour, f"{zh}点{few}分", f"{a_few} past {en}"
            yield hour, f"差{few}分{zh}点", f"{a_few} to {en}"


def morning():
    for hour, zh, en in clock():
        if 5 <= hour <= 11:
            yield f"早上{zh}", f"{en} in the morning"


def evening():
    for hour, zh, en in clock():
        if 6 <= hour <= 11:
            yield f"晚上{zh}", f"{en} " + ("in the evening" if hour < 10 else "at night")


def clock_of_day():
    yield from morning()
    yield from evening()
    for hour, zh, en in clock():
        if 1 <= hour <= 5:
            yield f"下午{zh}", f"{en} in the afternoon"


@template(96)
def time_is():
    for _, zh, en in clock():
        yield f"现在{zh}", f"It's {en}"


@template(110)
def leaves():
    for (zh, en), (when, time) in itertools.product(w.VEHICLES, clock_of_day()):
        yield f"{zh}{when}出发", f"The {en} leaves at {time}"
        yield f"{zh}{when}到", f"The {en} arrives at {time}"


@template(110)
def opens():
    for zh, en in w.BUILDINGS:
        for when, time in morning():
            yield f"{zh}{when}开门", f"The {en} opens at {time}"
        for when, time in evening():
            yield f"{zh}{when}关门", f"The {en} closes at {time}"


@about_people(150)
def gets_up(people):
    for who in people:
        for when, time in morning():
            yield f"{who.zh}{when}起床", sentence(f"{verb(who, 'get', 'gets')} up at {time}")
        for when, time in evening():
            yield f"{who.zh}{when}睡觉", sentence(f"{verb(who, 'go', 'goes')} to bed at {time}")
        for when, time in clock_of_day():
            yield f"{who.zh}{when}吃饭", sentence(f"{verb(who, 'eat', 'eats')} at {time}")


DAYS_NAMED = [("昨天", "yesterday was"), ("今天", "today is"), ("明天", "tomorrow is")]


@template(21)
def weekday():
    for (zh, en), (day, name) in itertools.product(DAYS_NAMED, w.WEEKDAYS):
        yield f"{zh}是{day}", sentence(f"{en} {name}")


def dates():
    for (month, name), day in itertools.product(w.MONTHS, range(1, 31)):
        yield f"{month}{w.number(day)[0]}号", f"the {w.ordinal(day)} of {name}"


@template(170)
def date():
    for (zh, en), (day, name) in itertools.product(DAYS_NAMED, dates()):
        yield f"{zh}是{day}", sentence(f"{en} {name}")


@template(130)
def birthday():
    whose = [(zh + "的", en) for zh, en in w.OWNERS]
    whose += [(who.zh + "的", who.en + "'s") for who in w.NAMED + w.RELATIVES]
    for (zh, en), (day, name) in itertools.product(whose, dates()):
        yield f"{zh}生日是{day}", sentence(f"{en} birthday is {name}")


# ---- greetings


@template(999)
def greetings():
    yield from [
        ("你好", "Hello"), ("你好吗？", "How are you?"), ("我很好", "I'm very well"),
        ("早上好", "Good morning"), ("下午好", "Good afternoon"), ("晚上好", "Good evening"),
        ("晚安", "Good night"),
        ("再见", "Goodbye"), ("明天见", "See you tomorrow"), ("谢谢", "Thank you"),
        ("谢谢你的帮助", "Thank you for your help"), ("不客气", "You're welcome"), ("对不起", "I'm sorry"),
        ("没关系", "It doesn't matter"), ("很高兴认识你", "Nice to meet you"), ("欢迎", "Welcome"),
        ("你叫什么名字？", "What's your name?"), ("现在几点？", "What time is it?"),
        ("今天星期几？", "What day is it today?"), ("祝你生日快乐", "Happy birthday to you"),
        ("新年快乐", "Happy New Year"), ("祝你好运", "Good luck"), ("我不知道", "I don't know"),
        ("我爱你", "I love you"), ("我迷路了", "I'm lost"), ("请等一下", "Please wait a moment"),
        ("多少钱？", "How much is it?"), ("我听不懂", "I don't understand"),
    ]


@template(72)
def greeting_somebody():
    said = [("你好", "Hello"), ("早上好", "Good morning"), ("下午好", "Good afternoon"),
            ("晚上好", "Good evening"), ("晚安", "Good night"), ("再见", "Goodbye"),
            ("谢谢你", "Thank you"), ("明天见", "See you tomorrow"), ("对不起", "I'm sorry")]
    for (zh, en), (name, english) in itertools.product(said, w.NAMES):
        yield f"{zh}，{name}", f"{en}, {english}"


@template(110)
def named():
    women = {"grandmother", "mother", "aunt", "older sister", "younger sister", "wife", "daughter"}
    for zh, en in w.NAMES:
        yield f"我叫{zh}", f"My name is {en}"
        yield f"你是{zh}吗？", f"Are you {en}?"
    for who in w.RELATIVES:
        for zh, en in w.WOMEN if who.en.split(" ", 1)[1] in women else w.MEN:
            yield f"{who.zh}叫{zh}", sentence(f"{who.en}'s name is {en}")
