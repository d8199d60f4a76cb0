"""A few rows of every dataset of the recipes, in exactly the schema that its hub repository has.

The recipes' cards say where each schema was read. `write_hub` writes the rows as Parquet files with a README that names
the subsets, which is what `load_dataset` finds on the hub.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
from datasets import ClassLabel, Dataset, Features, Image, Sequence, Value


MINI_IMAGENET_LABELS = """
    n01532829 n01558993 n01704323 n01749939 n01770081 n01843383 n01855672 n01910747 n01930112 n01981276
    n02074367 n02089867 n02091244 n02091831 n02099601 n02101006 n02105505 n02108089 n02108551 n02108915
    n02110063 n02110341 n02111277 n02113712 n02114548 n02116738 n02120079 n02129165 n02138441 n02165456
    n02174001 n02219486 n02443484 n02457408 n02606052 n02687172 n02747177 n02795169 n02823428 n02871525
    n02950826 n02966193 n02971356 n02981792 n03017168 n03047690 n03062245 n03075370 n03127925 n03146219
    n03207743 n03220513 n03272010 n03337140 n03347037 n03400231 n03417042 n03476684 n03527444 n03535780
    n03544143 n03584254 n03676483 n03770439 n03773504 n03775546 n03838899 n03854065 n03888605 n03908618
    n03924679 n03980874 n03998194 n04067472 n04146614 n04149813 n04243546 n04251144 n04258138 n04275548
    n04296562 n04389033 n04418357 n04435653 n04443257 n04509417 n04515003 n04522168 n04596742 n04604644
    n04612504 n06794110 n07584110 n07613480 n07697537 n07747607 n09246464 n09256479 n13054560 n13133613
""".split()
CALTECH101_LABELS = """
    accordion airplanes anchor ant background_google barrel bass beaver binocular bonsai brain brontosaurus buddha
    butterfly camera cannon car_side ceiling_fan cellphone chair chandelier cougar_body cougar_face crab crayfish
    crocodile crocodile_head cup dalmatian dollar_bill dolphin dragonfly electric_guitar elephant emu euphonium ewer
    faces faces_easy ferry flamingo flamingo_head garfield gerenuk gramophone grand_piano hawksbill headphone hedgehog
    helicopter ibis inline_skate joshua_tree kangaroo ketch lamp laptop leopards llama lobster lotus mandolin mayfly
    menorah metronome minaret motorbikes nautilus octopus okapi pagoda panda pigeon pizza platypus pyramid revolver
    rhino rooster saxophone schooner scissors scorpion sea_horse snoopy soccer_ball stapler starfish stegosaurus
    stop_sign strawberry sunflower tick trilobite umbrella watch water_lilly wheelchair wild_cat windsor_chair wrench
    yin_yang
""".split()
FOOD101_LABELS = """
    apple_pie baby_back_ribs baklava beef_carpaccio beef_tartare beet_salad beignets bibimbap bread_pudding
    breakfast_burrito bruschetta caesar_salad cannoli caprese_salad carrot_cake ceviche cheesecake cheese_plate
    chicken_curry chicken_quesadilla chicken_wings chocolate_cake chocolate_mousse churros clam_chowder club_sandwich
    crab_cakes creme_brulee croque_madame cup_cakes deviled_eggs donuts dumplings edamame eggs_benedict escargots
    falafel filet_mignon fish_and_chips foie_gras french_fries french_onion_soup french_toast fried_calamari fried_rice
    frozen_yogurt garlic_bread gnocchi greek_salad grilled_cheese_sandwich grilled_salmon guacamole gyoza hamburger
    hot_and_sour_soup hot_dog huevos_rancheros hummus ice_cream lasagna lobster_bisque lobster_roll_sandwich
    macaroni_and_cheese macarons miso_soup mussels nachos omelette onion_rings oysters pad_thai paella pancakes
    panna_cotta peking_duck pho pizza pork_chop poutine prime_rib pulled_pork_sandwich ramen ravioli red_velvet_cake
    risotto samosa sashimi scallops seaweed_salad shrimp_and_grits spaghetti_bolognese spaghetti_carbonara spring_rolls
    steak strawberry_shortcake sushi tacos takoyaki tiramisu tuna_tartare waffles
""".split()
LETTERS = ClassLabel(names=["A", "B", "C", "D"])
TEXT = Value("string")


def image(colour: str, size: tuple[int, int] = (48, 40)) -> dict[str, Any]:
    """A PNG as `datasets` embeds it."""
    stream = io.BytesIO()
    PIL.Image.new("RGB", size, colour).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": f"{colour}.png"}


def write_hub(folder: Path) -> Path:
    """Write all repositories below a folder, as `<owner>/<name>`."""
    subsets: dict[str, dict[str, set[str]]] = {}
    for repository, subset, split, features, rows in _tables():
        path = folder / repository / subset
        path.mkdir(parents=True, exist_ok=True)
        Dataset.from_list(rows, features=Features(features)).to_parquet(path / f"{split}-00000-of-00001.parquet")
        subsets.setdefault(repository, {}).setdefault(subset, set()).add(split)

    for repository, found in subsets.items():
        lines = ["---", "configs:"]
        for subset, splits in found.items():
            lines += [f"- config_name: {subset}", "  data_files:"]
            lines += [f"  - split: {split}\n    path: {subset}/{split}-*" for split in sorted(splits)]

        (folder / repository / "README.md").write_text("\n".join([*lines, "---", ""]))

    return folder


def write_llava(folder: Path) -> None:
    """What the training recipe's card tells users to put into its folder for LLaVA-Instruct."""
    (folder / "llava_v1_5_mix665k" / "data").mkdir(parents=True)
    (folder / "coco" / "train2017").mkdir(parents=True)
    PIL.Image.new("RGB", (48, 40), "teal").save(folder / "coco" / "train2017" / "000000033471.jpg")
    table = Dataset.from_list(_llava_rows(), features=Features(_LLAVA))
    table.to_parquet(folder / "llava_v1_5_mix665k" / "data" / "train-00000-of-00001.parquet")


def _tables() -> Iterator[tuple[str, str, str, dict[str, Any], list[dict[str, Any]]]]:
    for split in ("train", "validation", "test"):
        yield "timm/mini-imagenet", "default", split, _classes(MINI_IMAGENET_LABELS), _images(14, 61)

    for split in ("train", "test"):
        yield "dpdl-benchmark/caltech101", "default", split, _classes(CALTECH101_LABELS), _images(16, 96)
        yield "allenai/openbookqa", "main", split, _OPENBOOKQA, [_OPENBOOKQA_ROW]

    for split in ("train", "validation"):
        yield "ethz/food101", "default", split, _classes(FOOD101_LABELS), _images(29, 0)

    for split in ("auxiliary_train", "test"):
        yield "cais/mmlu", "all", split, _MMLU, [_MMLU_ROW]

    # the trap that the card warns of
    yield "cais/mmlu", "auxiliary_train", "train", {"train": _MMLU}, [{"train": _MMLU_ROW}]
    yield "lmms-lab-encoder/TextCaps", "default", "train", _TEXTCAPS, [_TEXTCAPS_ROW]
    yield "allenai/ai2_arc", "ARC-Challenge", "test", _ARC, _ARC_ROWS
    yield "lmms-lab-encoder/ScienceQA", "ScienceQA-IMG", "test", SCIENCEQA, SCIENCEQA_ROWS
    yield "lmms-lab-encoder/MMBench", "en", "dev", _MMBENCH, _MMBENCH_ROWS
    yield "HuggingFaceM4/SEED", "default", "test", _SEED, [_SEED_ROW]


def _classes(names: list[str]) -> dict[str, Any]:
    return {"image": Image(), "label": ClassLabel(names=names)}


def _images(*labels: int) -> list[dict[str, Any]]:
    return [{"image": image(colour), "label": label} for colour, label in zip(("red", "green"), labels)]


_OPENBOOKQA = {
    "id": TEXT,
    "question_stem": TEXT,
    "choices": Sequence({"text": TEXT, "label": TEXT}),
    "answerKey": TEXT,
}
_OPENBOOKQA_ROW = {
    "id": "7-1",
    "question_stem": "A kettle gets hot because",
    "choices": {
        "text": ["of magnets", "it is red", "heat flows into it", "of gravity"],
        "label": ["A", "B", "C", "D"],
    },
    "answerKey": "C",
}

_MMLU = {"question": TEXT, "subject": TEXT, "choices": Sequence(TEXT), "answer": LETTERS}
_MMLU_ROW = {
    "question": "Which number is even?",
    "subject": "",
    "choices": ["3", "8", "5", "7"],
    "answer": 1,
}

_TURN = {
    "from": TEXT,
    "markdown": {"answer": TEXT, "index": Value("int64"), "type": TEXT},
    "text": TEXT,
    "value": TEXT,
}
_LLAVA = {"image": TEXT, "conversations": [_TURN]}


def _llava_rows() -> list[dict[str, Any]]:
    def turns(*values: str) -> list[dict[str, Any]]:
        speakers = ("human", "gpt") * len(values)
        return [
            {"from": speaker, "markdown": None, "text": None, "value": value}
            for speaker, value in zip(speakers, values)
        ]

    bus = turns("<image>\nWhat colour is it?", "Teal.", "Is it a bus?", "It is a plain surface.")
    story = turns("Tell me a joke.", "A byte walks into a bar.")
    vanished = turns("What book is this?\n<image>", "Nobody knows.")
    return [
        {"image": "coco/train2017/000000033471.jpg", "conversations": bus},
        {"image": None, "conversations": story},
        {"image": "ocr_vqa/images/1437717772.jpg", "conversations": vanished},
    ]


_TEXTCAPS = {
    "question_id": TEXT,
    "question": TEXT,
    "image": Image(),
    "image_id": TEXT,
    "image_classes": Sequence(TEXT),
    "flickr_original_url": TEXT,
    "flickr_300k_url": TEXT,
    "image_width": Value("int64"),
    "image_height": Value("int64"),
    "set_name": TEXT,
    "image_name": TEXT,
    "image_path": TEXT,
    "caption_id": Sequence(Value("int64")),
    "caption_str": Sequence(TEXT),
    "reference_strs": Sequence(TEXT),
}
CAPTIONS = ["A sign says stop.", "A red stop sign.", "The word STOP in white."]
_TEXTCAPS_ROW = {
    "question_id": "0",
    "question": "Describe the picture and the text in it.",
    "image": image("red", (64, 64)),
    "image_id": "0054c91397f2fe05",
    "image_classes": ["Stop sign"],
    "flickr_original_url": "",
    "flickr_300k_url": "",
    "image_width": 64,
    "image_height": 64,
    "set_name": "train",
    "image_name": "0054c91397f2fe05",
    "image_path": "train/0054c91397f2fe05.jpg",
    "caption_id": [1, 2, 3],
    "caption_str": CAPTIONS,
    "reference_strs": CAPTIONS,
}

_ARC = {"id": TEXT, "question": TEXT, "choices": Sequence({"text": TEXT, "label": TEXT}), "answerKey": TEXT}
_ARC_ROWS = [
    {
        "id": "Mercury_1",
        "question": "What melts first?",
        "choices": {"text": ["iron", "ice", "stone"], "label": ["A", "B", "C"]},
        "answerKey": "B",
    },
    {
        "id": "NYSEDREGENTS_1",
        "question": "Which is a gas?",
        "choices": {"text": ["lead", "salt", "wood", "air"], "label": ["1", "2", "3", "4"]},
        "answerKey": "4",
    },
]

SCIENCEQA = {
    "image": Image(),
    "question": TEXT,
    "choices": Sequence(TEXT),
    "answer": Value("int8"),
    **dict.fromkeys(("hint", "task", "grade", "subject", "topic", "category", "skill", "lecture", "solution"), TEXT),
}
SCIENCEQA_ROWS = [
    {
        "image": image("blue"),
        "question": "Which town is nearer to the lake?",
        "choices": ["Elm", "Oak"],
        "answer": 1,
        "hint": hint,
        "task": "closed choice",
        "grade": "grade4",
        "subject": "social science",
        "topic": "geography",
        "category": "Maps",
        "skill": "Read a map",
        "lecture": "Maps show places.",
        "solution": "Oak is nearer.",
    }
    for hint in ("The map shows two towns.", "")
]

_MMBENCH = {
    "index": TEXT,
    "question": TEXT,
    "hint": TEXT,
    "answer": TEXT,
    **dict.fromkeys("ABCD", TEXT),
    "category": TEXT,
    "image": Image(),
    "source": TEXT,
    "L2-category": TEXT,
    "comment": TEXT,
    "split": TEXT,
}
_MMBENCH_ROWS = [
    {
        "index": "241",
        "question": "Which is the main topic?",
        "hint": "The passage is about rivers.",
        "answer": "D",
        "A": "hills",
        "B": "towns",
        "C": "roads",
        "D": "rivers",
    },
    {
        "index": "252",
        "question": "Is the shape round?",
        "hint": "nan",
        "answer": "B",
        "A": "yes",
        "B": "no",
        "C": "nan",
        "D": "nan",
    },
]
for _row in _MMBENCH_ROWS:
    _row |= {"category": "identity", "image": image("navy"), "source": "scienceqa", "L2-category": "reasoning"}
    _row |= {"comment": "nan", "split": "dev"}

_SEED = {
    "answer": LETTERS,
    **{f"choice_{letter}": TEXT for letter in "abcd"},
    "question": TEXT,
    "question_type_id": TEXT,
    "image": Image(),
}
_SEED_ROW = {
    "answer": 2,
    "choice_a": "One",
    "choice_b": "Two",
    "choice_c": "Three",
    "choice_d": "Four",
    "question": "How many towels are in the picture?",
    "question_type_id": "5",
    "image": image("orange"),
}
