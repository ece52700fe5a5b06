"""The words that conversations are made of."""

import random

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon",
    "Poland": "Warsaw", "Austria": "Vienna", "Greece": "Athens", "Norway": "Oslo", "Sweden": "Stockholm",
    "Finland": "Helsinki", "Denmark": "Copenhagen", "Ireland": "Dublin", "Hungary": "Budapest", "Romania": "Bucharest",
    "Bulgaria": "Sofia", "Belgium": "Brussels", "Japan": "Tokyo", "China": "Beijing", "India": "New Delhi",
    "Thailand": "Bangkok", "Vietnam": "Hanoi", "Nepal": "Kathmandu", "Egypt": "Cairo", "Kenya": "Nairobi",
    "Morocco": "Rabat", "Ghana": "Accra", "Canada": "Ottawa", "Mexico": "Mexico City", "Cuba": "Havana",
    "Peru": "Lima", "Chile": "Santiago", "Argentina": "Buenos Aires", "Brazil": "Brasilia", "Colombia": "Bogota",
    "Australia": "Canberra", "England": "London", "Scotland": "Edinburgh", "Turkey": "Ankara", "Iran": "Tehran",
    "Iraq": "Baghdad", "Russia": "Moscow", "Ukraine": "Kyiv", "Iceland": "Reykjavik", "Croatia": "Zagreb",
    "Netherlands": "Amsterdam", "Switzerland": "Bern", "Serbia": "Belgrade", "Indonesia": "Jakarta",
    "Pakistan": "Islamabad", "Tunisia": "Tunis", "Nigeria": "Abuja", "Senegal": "Dakar", "Ecuador": "Quito",
    "New Zealand": "Wellington", "Estonia": "Tallinn", "Latvia": "Riga", "Lithuania": "Vilnius",
    "South Korea": "Seoul", "Slovakia": "Bratislava", "Mongolia": "Ulaanbaatar", "Uruguay": "Montevideo",
    "Philippines": "Manila", "Algeria": "Algiers", "Jamaica": "Kingston",
}  # fmt: skip

UNKNOWN_PLACES = (
    "Atlantis Narnia Mordor Gondor Westeros Wakanda Genovia Elbonia Freedonia Ruritania Sylvania Zubrowka Arendelle"
    " Lilliput Oz Utopia Avalon Camelot Shangrila Zamunda Latveria Sokovia Panem Gilead Oceania Eurasia"
    " Laos Cambodia Myanmar Bhutan Qatar Oman Yemen Jordan Lebanon Syria Libya Sudan Chad Niger Mali Angola Zambia"
    " Uganda Rwanda Gabon Congo Togo Benin Gambia Liberia Somalia Ethiopia Madagascar Mozambique Namibia Botswana"
    " Paraguay Bolivia Panama Honduras Guatemala Belize Haiti Barbados Bahamas Fiji Samoa Tonga Palau Malta Cyprus"
    " Albania Moldova Belarus Georgia Armenia Kosovo Montenegro Slovenia Luxembourg Monaco Andorra Liechtenstein"
    " Kazakhstan Turkmenistan Kyrgyzstan Tajikistan Uzbekistan Bangladesh Malaysia Singapore Taiwan Brunei"
).split()

CITIES = [*CAPITALS.values(), *"Munich Hamburg Lyon Milan Porto Krakow Boston Chicago Seattle Denver Austin Mumbai"
          " Kyoto Osaka Geneva Zurich Toronto Sydney Leeds Oxford Prague Delhi Naples Bergen Dallas Miami Lagos".split(),
          "New York", "San Francisco", "Los Angeles", "Cape Town", "Hong Kong", "Rio de Janeiro"]  # fmt: skip

NAMES = (
    "Anna Ben Clara David Emma Felix Grace Henry Ida Jack Kate Leo Mia Noah Olga Paul Quinn Rosa Sam Tina Uma Victor"
    " Wendy Xavier Yara Zoe Alex Maria Tom Lucy Peter Nina Oscar Ella Max Julia Simon Laura Adam Eva Robin Sara Mark"
).split()

NOUNS = (
    "apple river stone cloud garden window table mountain forest bridge candle mirror lemon tiger pencil rocket ocean"
    " island pillow basket hammer kitten paper silver winter summer market engine puzzle flower ladder button castle"
    " dragon feather guitar helmet jacket kettle lantern magnet needle orange pepper rabbit saddle teapot umbrella"
    " violin walnut yellow zebra bottle carpet desert eagle falcon goblet honey igloo jungle kite lizard melon nest"
).split()

ADJECTIVES = (
    "red blue green small big old new quiet loud happy sad bright dark cold warm soft hard fast slow tiny huge sweet"
    " sour round square clean dusty brave shy wild calm"
).split()

VERBS = "sees likes finds wants paints carries holds hides buys sells draws loves moves opens keeps".split()

COLOURS = "red blue green yellow orange purple black white brown pink grey".split()
ANIMALS = "cat dog horse rabbit tiger parrot fish turtle fox owl bear wolf mouse snake goat".split()
FOODS = "pizza soup bread rice pasta salad cheese cake curry noodles apples plums".split()

TOPICS = (
    "chess tennis football physics photosynthesis relativity opera ballet cricket poker baseball volcano glacier"
    " bicycle tractor submarine wine gold silver diamond bitcoin insurance tax law medicine surgery vaccine enzyme"
    " protein atom galaxy comet telescope microscope robot drone satellite jazz symphony novel sculpture dinosaur"
    " penguin dolphin mushroom orchid marathon golf sailing skiing surfing boxing philosophy logic algebra geometry"
    " grammar cathedral pyramid railway airport harbour laptop phone car house boat train computer piano camera"
    " history art science religion politics money war peace"
).split()

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty".split()
ONSETS = "b bl br c ch d dr f fl g gr h j k l m n p pl r s sh st t tr v w y z".split()
VOWELS = "a e i o u a e i o u ai ee oo ia".split()
CODAS = ["", "", "", "", "n", "r", "l", "s", "t", "m", "nd", "x", "k"]


def in_words(number: int) -> str:
    """A number below sixty in words."""
    if number < 20:
        return ONES[number]
    tens, ones = divmod(number, 10)
    return TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")


def invented(rng: random.Random) -> str:
    """A word that does not exist, made of syllables."""
    if rng.random() < 0.5:
        return "".join(rng.choice("bcdfghklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4)))
    parts = range(rng.choice((1, 2, 2, 2, 3)))
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in parts)
