"""The sentence that claims an option fits the option: a table written by hand, before the code was run on it."""

import pytest

from modality_interference.data.perturbations.claims import bare, claim


NOUN, BARE = "This picture seems to depict {article} {option}.", "This picture seems to depict {option}."
NUMBER, VALUE = "The number seems to be {option}.", "The value seems to be {option}."
DATE, TIME, LETTER = (
    "The date seems to be {option}.",
    "The time seems to be {option}.",
    "The letter seems to be {option}.",
)
VERDICT, QUALITY = "The answer seems to be {option}.", "It seems to be {option} in this picture."
CASE, QUOTED = 'This seems to be the case: "{option}".', 'The answer is "{option}".'

CASES = {
    "a": "dog|cat|horse|car|bus|glass|dress|walrus|lens|canvas|bicycle|traffic light|fire hydrant|stop sign|parking meter"
    "|wine glass|hot dog|dining table|potted plant|teddy bear|bed|shed|building|ring|king|painting|washing machine|golden retriever"
    "|Golden Retriever|unicorn|European robin|university|ukulele|one-way street|T-shirt|bottle of water|man's hat|wooden table"
    "|blue car|dog in the park|butterfly|family|table|vegetable|fish|radish|knife|CD player|wild_cat|crane (bird)|specimen|seven-seater|turkey",
    "an": "owl|octopus|apple|elephant|umbrella|hourglass|heirloom|orange cat|ice cream cone|igloo|x-ray|egg|Airplane|old man|unidentified object|usher",
    BARE: "water|grass|snow|rice|broccoli|bread|furniture|traffic|luggage|dogs|scissors|people|children|firemen|skis|geese|taxis"
    "|sheep|jeans|orange juice|bottles of beer|the sea|an owl|some bread|his hand|two dogs|3 dogs|several cars|running|skiing|riding a horse"
    "|tennis|winter|Paris|Brazil|New York|Texas|Barack Obama|Albert Einstein|Mount Everest|Lake Victoria|J. K. Rowling|McDonald's"
    "|The Beatles|São Paulo|Zürich|Mr. Smith|london|Nike|potassium|daytime",
    NUMBER: "17|0|8|2023|1,000|-5|3.14|1/2|seven|twenty-one|one hundred",
    VALUE: "5%|$20|3 cm|25 °C|60 mph|12 kg|€9.50|10 minutes|40 - 50|20 percent",
    DATE: "3 May 1998|May 3, 1998|1998-05-03|12/05/2020|July 4th|March 2021",
    TIME: "10:30|5 pm|7:15 pm|noon|3 o'clock",
    LETTER: "A|q|Z",
    VERDICT: "yes|No|true|False",
    QUALITY: "blue|dark blue|black and white|red|striped|sunny|wooden|big|closed|dangerous|cloudy|French|very old|wet|harmless",
    CASE: "The man is riding a horse|It was raining|Plants are producers|She can swim|it's raining",
    QUOTED: "на столе|犬|猫が好き|perro y gato|eine Katze|un chien|under the table|left|on the right|none of the above|both|because he is hungry"
    "|to buy food|x = 3|NASA|B12|cats and dogs|Monday|quickly|he|not sure|table, chair|eat lunch|https://a.example|1st|?|sleeping cat"
    "|Statue of Liberty|when it rains|unknown|Müdigkeit am Abend|upside down",
}  # fmt: skip
ROWS = [
    (option, (NOUN if article in ("a", "an") else article).format(article=article, option=option))
    for article, options in CASES.items()
    for option in options.split("|")
]


def test_the_table_is_large():
    assert len(ROWS) >= 150


@pytest.mark.parametrize(("option", "sentence"), ROWS)
def test_the_sentence_fits_the_option(option: str, sentence: str):
    assert claim(option) == sentence


@pytest.mark.parametrize(
    ("option", "siblings", "sentence"),
    [
        ("orange", ("banana", "apple"), "This picture seems to depict an orange."),
        ("orange", ("blue", "red"), "It seems to be orange in this picture."),
        ("orange", (), "It seems to be orange in this picture."),
        ("Toulouse", ("Paris", "Lyon"), "This picture seems to depict Toulouse."),
        ("Labrador", ("Poodle", "Pug"), "This picture seems to depict a Labrador."),
        ("United States", (), "This picture seems to depict the United States."),
        ("usa", (), "This picture seems to depict the usa."),
        ("Netherlands", ("Belgium",), "This picture seems to depict the Netherlands."),
        ("The sea.", (), "This picture seems to depict the sea."),
        ("The man is riding a horse.", (), 'This seems to be the case: "The man is riding a horse".'),
        ("A dog on the grass near a tree.", (), 'This seems to be the case: "A dog on the grass near a tree".'),
        ('the sign "exit"', (), "The answer is 'the sign \"exit\"'."),
        ("  dog. ", (), "This picture seems to depict a dog."),
        ("U.S.", (), 'The answer is "U.S.".'),
        ("7:15 a.m.", (), "The time seems to be 7:15 a.m."),
        ("{option}", (), 'The answer is "{option}".'),
    ],
)
def test_what_the_option_stands_beside(option: str, siblings: tuple[str, ...], sentence: str):
    assert claim(option, siblings) == sentence


@pytest.mark.parametrize("option", [".", "..", "..."])
def test_an_option_of_full_stops_alone_is_claimed(option: str):
    assert bare(option) == option
    assert f'"{option}"' in claim(option)
