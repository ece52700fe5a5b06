"""The words that conversations are made of."""

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
}  # fmt: skip

UNKNOWN_PLACES = (
    "Atlantis Narnia Mordor Gondor Westeros Wakanda Genovia Elbonia Freedonia Ruritania Sylvania Zubrowka Arendelle"
    " Lilliput Oz Utopia Avalon Camelot Shangrila Zamunda Latveria Sokovia Panem Gilead Oceania Eurasia"
).split()

CITIES = [*CAPITALS.values(), *"Munich Hamburg Lyon Milan Porto Krakow Boston Chicago Seattle Denver Austin Mumbai"
          " Kyoto Osaka Geneva Zurich Toronto Sydney Leeds Oxford".split()]  # fmt: skip

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

NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty"
).split()
TENS = {30: "thirty", 40: "forty", 50: "fifty"}
