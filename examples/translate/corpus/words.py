"""Words of the corpus: Chinese, English, and what English grammar needs to know of each.

Every Chinese word here has one English word, so that a sentence put together from them has one
translation. Where a language says more than the other (articles, tense, classifiers, "older
brother"), the template decides, from the Chinese alone.
"""

from typing import NamedTuple


class Subject(NamedTuple):
    """Who does it. `person` is "I", "you", "he" (third, singular) or "they" (plural)."""

    zh: str
    en: str
    person: str


class Thing(NamedTuple):
    """Something that is counted: 一把伞, an umbrella. `unit` is what is counted in English where the
    thing itself is not: a pair of gloves; such a thing is plural when pointed at (these gloves)."""

    zh: str
    classifier: str
    one: str
    many: str
    unit: str = ""


class Activity(NamedTuple):
    """A verb with its object, as a habit (watch movies) and as an event (watched a movie)."""

    zh: str
    base: str
    third: str
    past: str
    gerund: str
    habit: str = ""
    event: str = ""


PRONOUNS = [
    Subject("我", "I", "I"), Subject("你", "you", "you"), Subject("他", "he", "he"),
    Subject("她", "she", "he"), Subject("我们", "we", "they"), Subject("你们", "you", "they"),
    Subject("他们", "they", "they"),
]
WOMEN = [("安娜", "Anna"), ("玛丽", "Mary"), ("小红", "Xiaohong"), ("丽丽", "Lili")]
MEN = [("汤姆", "Tom"), ("大卫", "David"), ("彼得", "Peter"), ("小明", "Xiaoming")]
NAMES = WOMEN + MEN
NAMED = [Subject(zh, en, "he") for zh, en in NAMES]

OWNERS = [("我", "my"), ("你", "your"), ("他", "his"), ("她", "her")]
ELDERS = [("爷爷", "grandfather"), ("奶奶", "grandmother")]
PARENTS = [("爸爸", "father"), ("妈妈", "mother"), ("叔叔", "uncle"), ("阿姨", "aunt")]
SIBLINGS = [
    ("哥哥", "older brother"), ("弟弟", "younger brother"), ("姐姐", "older sister"),
    ("妹妹", "younger sister"), ("丈夫", "husband"), ("妻子", "wife"),
]
CHILDREN = [("儿子", "son"), ("女儿", "daughter")]
OTHERS = [("的朋友", "friend"), ("的老师", "teacher"), ("的同事", "colleague"), ("的邻居", "neighbor")]


def kin(relations):
    return [Subject(owner + zh, f"{whose} {en}", "he")
            for owner, whose in OWNERS for zh, en in relations
            if owner + zh not in ("他丈夫", "她妻子")]


RELATIVES = kin(ELDERS + PARENTS + SIBLINGS + CHILDREN + OTHERS)

CHINESE_CITIES = [
    ("北京", "Beijing"), ("上海", "Shanghai"), ("广州", "Guangzhou"), ("成都", "Chengdu"),
    ("西安", "Xi'an"), ("杭州", "Hangzhou"), ("香港", "Hong Kong"),
]
CITIES = CHINESE_CITIES + [
    ("伦敦", "London"), ("巴黎", "Paris"), ("东京", "Tokyo"), ("纽约", "New York"), ("柏林", "Berlin"),
    ("罗马", "Rome"), ("悉尼", "Sydney"),
]
BUILDINGS = [
    ("火车站", "train station"), ("机场", "airport"), ("银行", "bank"), ("医院", "hospital"),
    ("博物馆", "museum"), ("公园", "park"), ("超市", "supermarket"), ("邮局", "post office"),
    ("图书馆", "library"), ("酒店", "hotel"), ("药店", "pharmacy"), ("电影院", "cinema"),
    ("学校", "school"), ("饭馆", "restaurant"),
]
WORKPLACES = [
    ("银行", "bank"), ("医院", "hospital"), ("博物馆", "museum"), ("超市", "supermarket"),
    ("图书馆", "library"), ("酒店", "hotel"), ("药店", "pharmacy"), ("学校", "school"),
    ("饭馆", "restaurant"), ("工厂", "factory"), ("办公室", "office"),
]
SIDES = [
    ("旁边", "next to"), ("对面", "across from"), ("后面", "behind"), ("前面", "in front of"),
    ("附近", "near"), ("左边", "to the left of"), ("右边", "to the right of"),
]
VEHICLES = [("火车", "train"), ("飞机", "plane"), ("公共汽车", "bus"), ("船", "boat")]

WEEKDAYS = [
    ("星期一", "Monday"), ("星期二", "Tuesday"), ("星期三", "Wednesday"), ("星期四", "Thursday"),
    ("星期五", "Friday"), ("星期六", "Saturday"), ("星期天", "Sunday"),
]
PAST_DAYS = [("昨天", "yesterday"), ("前天", "the day before yesterday")] + [
    ("上" + zh, "last " + en) for zh, en in WEEKDAYS]
FUTURE_DAYS = [("明天", "tomorrow"), ("后天", "the day after tomorrow")] + [
    ("下" + zh, "next " + en) for zh, en in WEEKDAYS]
PAST = PAST_DAYS + [
    ("昨天早上", "yesterday morning"), ("昨天下午", "yesterday afternoon"), ("昨天晚上", "last night"),
    ("上个周末", "last weekend"),
]
FUTURE = FUTURE_DAYS + [
    ("明天早上", "tomorrow morning"), ("明天下午", "tomorrow afternoon"),
    ("明天晚上", "tomorrow evening"), ("今天晚上", "this evening"), ("下个周末", "next weekend"),
]
EVERY = [
    ("每天", "every day"), ("每天早上", "every morning"), ("每天下午", "every afternoon"),
    ("每天晚上", "every evening"), ("每个周末", "every weekend"),
] + [("每个" + zh, "every " + en) for zh, en in WEEKDAYS]
MONTHS = list(zip(
    "一月 二月 三月 四月 五月 六月 七月 八月 九月 十月 十一月 十二月".split(),
    "January February March April May June July August September October November December".split(),
    strict=True))

PROFESSIONS = [
    ("医生", "doctor"), ("老师", "teacher"), ("工程师", "engineer"), ("律师", "lawyer"),
    ("护士", "nurse"), ("学生", "student"), ("司机", "driver"), ("厨师", "cook"),
    ("记者", "journalist"), ("演员", "actor"), ("音乐家", "musician"), ("艺术家", "artist"),
    ("科学家", "scientist"),
]
FEELINGS = [
    ("累", "tired"), ("高兴", "happy"), ("忙", "busy"), ("饿", "hungry"), ("渴", "thirsty"),
    ("难过", "sad"), ("紧张", "nervous"), ("生气", "angry"),
]
WEATHERS = [("冷", "cold"), ("热", "hot"), ("暖和", "warm"), ("凉快", "cool"), ("潮湿", "humid")]
FALLS = [("雨", "rain", "rained"), ("雪", "snow", "snowed")]

OUTDOORS = [
    Activity("游泳", "swim", "swims", "swam", "swimming"),
    Activity("跑步", "run", "runs", "ran", "running"),
    Activity("踢足球", "play", "plays", "played", "playing", " football", " football"),
    Activity("打篮球", "play", "plays", "played", "playing", " basketball", " basketball"),
]
INDOORS = [
    Activity("唱歌", "sing", "sings", "sang", "singing"),
    Activity("跳舞", "dance", "dances", "danced", "dancing"),
    Activity("画画", "draw", "draws", "drew", "drawing"),
    Activity("做饭", "cook", "cooks", "cooked", "cooking"),
    Activity("看书", "read", "reads", "read", "reading", " books", " a book"),
    Activity("写信", "write", "writes", "wrote", "writing", " letters", " a letter"),
    Activity("看电影", "watch", "watches", "watched", "watching", " movies", " a movie"),
    Activity("听音乐", "listen", "listens", "listened", "listening", " to music", " to music"),
    Activity("下棋", "play", "plays", "played", "playing", " chess", " chess"),
    Activity("弹钢琴", "play", "plays", "played", "playing", " the piano", " the piano"),
    Activity("学中文", "study", "studies", "studied", "studying", " Chinese", " Chinese"),
    Activity("学英文", "study", "studies", "studied", "studying", " English", " English"),
]
ACTIVITIES = OUTDOORS + INDOORS

DISHES = [
    ("米饭", "rice"), ("面条", "noodles"), ("饺子", "dumplings"), ("鱼", "fish"), ("牛肉", "beef"),
    ("鸡肉", "chicken"), ("豆腐", "tofu"), ("蔬菜", "vegetables"), ("水果", "fruit"),
    ("面包", "bread"), ("奶酪", "cheese"), ("巧克力", "chocolate"), ("蛋糕", "cake"),
]
DRINKS = [
    ("茶", "tea"), ("咖啡", "coffee"), ("水", "water"), ("牛奶", "milk"), ("果汁", "juice"),
    ("啤酒", "beer"),
]
PORTIONS = [("杯", "cup", "cups", ["茶", "咖啡"]), ("杯", "glass", "glasses", ["水", "牛奶", "果汁", "啤酒"]),
            ("瓶", "bottle", "bottles", ["水", "牛奶", "果汁", "啤酒"]),
            ("碗", "bowl", "bowls", ["米饭", "面条", "饺子", "豆腐"])]
TASTES = [
    ("太咸了", "too salty"), ("太甜了", "too sweet"), ("太辣了", "too spicy"), ("太油了", "too oily"),
    ("很好吃", "delicious"), ("很新鲜", "very fresh"),
]
GROCERIES = [
    Thing("苹果", "个", "apple", "apples"), Thing("橙子", "个", "orange", "oranges"),
    Thing("梨", "个", "pear", "pears"), Thing("鸡蛋", "个", "egg", "eggs"),
    Thing("土豆", "个", "potato", "potatoes"), Thing("西红柿", "个", "tomato", "tomatoes"),
    Thing("三明治", "个", "sandwich", "sandwiches"),
]
CLOTHES = [
    Thing("衬衫", "件", "shirt", "shirts"), Thing("大衣", "件", "coat", "coats"),
    Thing("毛衣", "件", "sweater", "sweaters"), Thing("裙子", "条", "skirt", "skirts"),
    Thing("围巾", "条", "scarf", "scarves"), Thing("帽子", "顶", "hat", "hats"),
    Thing("裤子", "条", "pants", "pants", "pair"), Thing("鞋", "双", "shoes", "shoes", "pair"),
    Thing("手套", "双", "gloves", "gloves", "pair"),
]
GOODS = [
    Thing("书", "本", "book", "books"), Thing("伞", "把", "umbrella", "umbrellas"),
    Thing("手表", "块", "watch", "watches"), Thing("手机", "部", "phone", "phones"),
    Thing("包", "个", "bag", "bags"), Thing("自行车", "辆", "bicycle", "bicycles"),
    Thing("桌子", "张", "table", "tables"), Thing("椅子", "把", "chair", "chairs"),
]
PETS = [
    Thing("猫", "只", "cat", "cats"), Thing("狗", "只", "dog", "dogs"),
    Thing("孩子", "个", "child", "children"),
] + [Thing(zh, "个", en, en + "s") for zh, en in SIBLINGS[:4] + CHILDREN]
COLORS = [
    ("红色", "red"), ("蓝色", "blue"), ("黑色", "black"), ("白色", "white"), ("绿色", "green"),
    ("黄色", "yellow"), ("灰色", "gray"), ("橙色", "orange"),
]
JUDGEMENTS = [
    ("太贵了", "too expensive"), ("太大了", "too big"), ("太小了", "too small"),
    ("很便宜", "very cheap"), ("很漂亮", "very beautiful"),
]

ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen " \
    "fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
DIGITS = "零一二三四五六七八九"
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
            "nine": "ninth", "twelve": "twelfth"}


def number(n):
    """1..99 in Chinese and in English: 二十五, twenty-five."""
    tens, ones = divmod(n, 10)
    zh = ("" if tens == 1 else DIGITS[tens]) + "十" if tens else ""
    zh += DIGITS[ones] if ones else ""
    if n < 20:
        return zh, ONES[n]
    return zh, TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")


def count(n):
    """As number, before a classifier, where two is 两."""
    return ("两", "two") if n == 2 else number(n)


def ordinal(n):
    """first .. ninety-ninth."""
    head, dash, last = number(n)[1].rpartition("-")
    if last in ORDINALS:
        return head + dash + ORDINALS[last]
    return head + dash + (last[:-1] + "ieth" if last.endswith("y") else last + "th")
