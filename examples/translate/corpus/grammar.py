"""The English grammar that the templates need: agreement, contractions, articles, questions."""


def sentence(text, mark=""):
    return text[0].upper() + text[1:] + mark


def a(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def is_pronoun(who):
    return who.en in ("I", "you", "he", "she", "we", "they")


def am(who):
    return {"I": "am", "he": "is"}.get(who.person, "are")


def was(who):
    return "was" if who.person in ("I", "he") else "were"


def is_(who):
    """I'm, you're, he's, my father is."""
    if is_pronoun(who):
        return who.en + {"I": "'m", "he": "'s"}.get(who.person, "'re")
    return f"{who.en} is"


def is_not(who):
    return "I'm not" if who.person == "I" else f"{who.en} {am(who)}n't"


def was_not(who):
    return f"{who.en} {was(who)}n't"


def will(who):
    return who.en + ("'ll" if is_pronoun(who) else " will")


def do(who):
    return "does" if who.person == "he" else "do"


def do_not(who):
    return f"{who.en} {do(who)}n't"


def verb(who, base, third):
    return f"{who.en} {third if who.person == 'he' else base}"


def like(who):
    return verb(who, "like", "likes")


def want(who):
    return verb(who, "want", "wants")


def counted(n, english, thing):
    """A number and a thing: an umbrella, two umbrellas, a pair of gloves, two pairs of gloves."""
    if thing.unit:
        one, many = f"{thing.unit} of {thing.many}", f"{thing.unit}s of {thing.many}"
    else:
        one, many = thing.one, thing.many
    return a(one) if n == 1 else f"{english} {many}"


def pointed(thing):
    """The thing before me, and its verb's ending: this shirt is, these gloves are."""
    return (f"these {thing.many}", "are") if thing.unit else (f"this {thing.one}", "is")
