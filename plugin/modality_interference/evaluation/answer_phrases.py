"""What stands around an option in an answer: phrases that declare it, deny it, quote it or leave it open.

In English and Chinese; of other languages the plainest ones: "Die richtige Antwort ist B.", "Es ist kein Hund."

An option is a letter, or the code of a text (`answer_text.CODE`). No pattern may take more than linear time.
"""

import re

from .answer_text import CODE, SPAN, SPAN_END


# --- A letter or a text, and what may stand around it -----------------------------------------------------------------

_LETTER = r"(?<![A-Za-z0-9°])(?<![A-Za-z]['-])([A-Za-z]{1,2})(?![A-Za-z0-9°]|['-][A-Za-z0-9])"
NAME = re.compile(rf"{_LETTER}|({CODE})")
_NO_ARTICLE = "because|since|as|is|was|and|or|rather|instead|not|but|if|would|should|must|seems|looks|for|due|given|it"
ARTICLE = re.compile(rf"\s+(?!(?:{_NO_ARTICLE})\b)[a-z]")  # behind "A", which then is no letter
PRONOUN = re.compile(rf"\s+(?:[a-z]|{CODE})|,\s")  # behind "I"
_FILLING = (
    "option|choice|answer|letter|number|likely|most|probably|clearly|definitely|actually|therefore|thus|simply|just|still|"
    "indeed|only|either|both|the|finally|eventually|now"
)
BEFORE_FIRST = re.compile(rf"(?:[ \"'(\[{{<]|\b(?:{_FILLING})\b[:-]?|选项|选){{0,20}}", re.IGNORECASE)
BETWEEN = re.compile(
    rf"(?:[ \"'(\[{{<)\]}}>:.,;/&-]|\b(?:and|or|{_FILLING})\b|选项|或者|还是|或|和|与|及){{0,30}}", re.IGNORECASE
)
GOES_ON = re.compile(  # behind another option that belongs to the same statement
    rf"[ \"')\]}}>]*(?:$|[\n.,;:!?/&(-]|(?i:(?:and|or|because|since|as)\b)|[A-Z](?![A-Za-z0-9])|{CODE}|或|和|与|及|都|选项)"
)
ENDS = re.compile(  # behind a statement that says no more
    r"[ \"')\]}>]*(?:$|\n|[.!;](?:\s|$)|[,:]\s|,?\s*(?:because|since|as|for|due|given|rather|instead|not|but)\b|选项)",
    re.IGNORECASE,
)
ONLY_SIGNS = re.compile(r"[\s\"')\]}>.,:;!-]*(?:选项)?[\s\"')\]}>.,:;!-]*")
JOINED = re.compile(r"(?:\b(?:or|and|nor)|[/&]|或者?|还是|和|与|及)[ \"'(\[]*$", re.IGNORECASE)

# --- Declarations -----------------------------------------------------------------------------------------------------

_LINK = (
    r"(?:[ ,\"')\]]{0,8}(?:[:=]|->|=>|→|-(?=\s)|\b(?:is|was|be|would|should|must|could|might|may|will)\b|'s\b"
    r"|应该是|应该为|应该选|应当是|应是|应为|应选|就是|是|为|选)\s*)+"
)
_NOUN = r"\b(?:answer|ans\.?|option|choice|letter|guess|pick|selection|solution)(?![A-Za-z])"
_ANYWHERE = (  # before an option: pattern, whether a small letter counts, whether an option's text counts
    (rf"{_NOUN}(?:[ ,]{{1,4}}(?!(?-i:[A-Z])\b)[\w']{{1,40}}){{0,8}}?{_LINK}", True, True),
    (r"\b(?:correct|final|result|output|response|prediction|conclusion|selected)\s*:", True, True),
    (rf"(?:答案|选项|结论)[^,.;:!?\n是为选]{{0,6}}{_LINK}", True, True),
    (r"(?:\b(?:answer)|答案)[ \"'*]?[)\]]", True, True),  # 【答案】B
    (r"\b(?:choose|select|pick|chose|selected|picked|go(?:ing)? (?:with|for)|opt for|settle on|(?:would|'d|'ll|will|I) (?:say|answer|guess)"
     r"|leaves?(?: us| me)?(?: with)?|left with)\b:?", True, True),
    (r"\b(?:corresponds? (?:to|with)|match(?:es)?(?: with)?|lean(?:ing)? towards?|vote for|answer with)\b", True, False),
    (r"\b(?:it|this|that|which)(?:'s| is| must be| would be| should be| has to be)\b", False, False),
    (r"(?:选择|选|而是)\s*[是:]?", True, True),
    (r"(?:\b(?:Antwort|réponse|respuesta|risposta|resposta|ответ)|الإجابة|الجواب)(?:[ ,]{1,4}(?!(?-i:[A-Z])\b)[\w']{1,40}){0,5}?\s*"
     r"(?:[:=—]|\b(?:ist|lautet|est|es|è|é)\b|هي|هو)\s*(?:(?:l[ae]|el|o|die|der|das|letra|lettre|lettera|вариант)\s){0,2}", False, True),
    (r"(?:正解|答え|정답)\s*[は은는:]\s*", False, True),
)  # fmt: skip
_AT_END = (  # the same, where nothing may follow the option
    (r"\b(?:answer|option|choice|letter|ans\.?)\s", True, False),
    (r"(?:\b(?:so|therefore|thus|hence|(?<!anything )(?<!nothing )but|actually)\b|=>|→)[,:.]*", False, False),
    (r"\b(?:no|nope|wait|rather)\b[,:.]+(?!\s*(?-i:[A-Z])\s*:)", False, False),  # "A: no, B: yes" has another sense
    (r"选项|答案|所以|因此|因而|是", True, False),
    (r": |\b(?:is|as)\b", False, False),
)
_COPULA = r"(?:is|would be|must be|should be|seems(?: to be)?|appears(?: to be)?)"
CORRECT = re.compile(  # behind an option
    rf"(?:{_LETTER}|(?P<text>{CODE}))[)\]\"' ]*(?:"
    rf"(?P<copula>(?i:{_COPULA}\s+)?)(?:(?:[\w']+\s+)|{CODE}\s*){{0,3}}?(?i:answer|option|choice)\b(?!\s+(?:that|which)\s+\w+\s+not\b)"
    rf"|(?::|(?i:{_COPULA})\s)\s*(?i:(?:clearly|definitely|the|indeed|most|also|only)\s+)*(?i:(?P<right>correct|right|best|accurate|appropriate|suitable))"
    rf"(?=\s*(?:$|[.,;!\n)]|(?i:because|since|as|one|and)\b))"
    rf"|(?i:,? it is)(?=\s*(?:$|[.!\n]))|(?:选项|项)?\s*(?:是|才是)?\s*(?:正确|对)(?:的|答案|选项)?)"
)
LEADING = re.compile(
    rf"[{{<\[(\"' ]{{0,8}}(?i:(?:option|choice) )?[(\[\"']{{0,8}}{_LETTER}[)\]\"'}}>]*"
    r"(?P<mark>\s*[):;,.(]|\s+-\s|\s+(?:because|since|as|rather|instead|over|not|due|given|for)\b|\s*因为)"
)
ITEM = re.compile(r"(?i:option |choice )?[(\[\"']*(?<![A-Za-z])([A-Z]{1,2})[)\]\"']*\s?(?:[):.,-]|$)")
LATER_ITEM = re.compile(r"(?<![A-Za-z0-9°'])([A-Z]{1,2})[)\]\"']*[):.]\s*\S")
SPANS = re.compile(f"{SPAN}([^{SPAN}{SPAN_END}]*){SPAN_END}")
LINE = re.compile("\n")
SENTENCES = re.compile(r"(?<=[.!?;])\s+|\n")
OPTIONS_FOLLOW = re.compile(
    r"(?:options|choices|(?:each|every|following) (?:option|choice)|选项)\W{0,3}$", re.IGNORECASE
)

# --- What is denied, quoted, asked or left open -----------------------------------------------------------------------

CLAUSE = re.compile(
    r"[.,;:!?\n()]|\s-\s|\b(?:(?<!anything )(?<!nothing )but|however|because|since|therefore|thus|hence|while|whereas|although|though|yet)\b"
    r"|\band(?=\s+(?:not|it|the|there|this|so)\b)|但是|但|而是|所以|因此",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")
AFFIRMED = re.compile(
    r"\b(?:no|without(?: a)?|beyond) (?:doubt|question)\b|\bnot (?:only|just|merely)\b|\bnothing but\b|非常"
)
DENYING = re.compile(
    r"\b(?:not|no|never|neither|nor|none|cannot|without|unlike|hardly|doubts?|wrong|incorrect|false|mistaken|confused|"
    r"rather than|instead of|except|exclud\w+|reject\w+|dismiss\w+|eliminat\w+|other than|apart from|as opposed to|rules? out|ruled out|"
    r"lacks?|lacking|absence of|far from|anything but|if|whether|unless|"
    r"nicht|kein\w{0,2}|pas|aucune?|non|não|ning[uú]na?|не|нет)\b|不|没|非|排除|无|ليس",
    re.IGNORECASE,
)
NOT_DECLARING = re.compile(
    r"\b(?:not|never|nor|neither|doubts?|cannot|hardly|anything|wrong|incorrect|worst|least|misleading|false|mistaken|nicht|pas|non|não|не)\b"
    r"|不|没|别|非"
    r"|\b(?:reject|avoid|exclud|discard|dismiss)\w*\s+(?:the\s+)?(?:option|choice|answer)?\s*$",
    re.IGNORECASE,
)
DENIED = re.compile(  # behind an option's text
    r"[^.,;:!?\n]{0,60}?\b(?:(?:is|are|was|were|do|does|did|can|could|has|have|would|should|will|may|might|seems?|looks?)\s+"
    r"(?:\w+ly\s+)?(?:not|wrong|incorrect|false|absent|missing|impossible|unlikely|mentioned|claimed|named|suggested)|cannot)\b"
    r"|\s*(?:选项)?(?:不|错|是错)|[^.,;:!?\n]{0,20}?(?:では(?:ない|ありません|なく)|じゃない|\s*아니|\s*아닙)"
    r"|\s+(?:n'est pas|ist nicht|ist kein|no es|não é|non è)\b",
    re.IGNORECASE,
)
DENIED_LETTER = re.compile(
    r"[)\]\"' ]*(?:\?|,? no\s*(?:$|[.!])|cannot\b|(?:is|was|are|seems?|looks?|does|do|did|can|could|should|would|will|may)\s+"
    r"(?:\w+ly\s+|also\s+|be\s+)?(?:not|wrong|incorrect|false|impossible|unlikely|excluded|eliminated|rejected|ruled out)\b"
    r"|(?:only )?if\b|(?:选项)?\s*(?:不|错|是错)|(?:n'est pas|ist nicht|no es|não é|non è)\b|では(?:ない|ありません))",
    re.IGNORECASE,
)
_WRONG = rf"(?:(?:is|are|was|does|do|can)\s+)?(?:not\b(?!\s+\(?(?:[A-Z]\b|{CODE}))|cannot\b|incorrect|wrong|false|no\b(?! doubt| question))"
DENIED_AT_ONCE = re.compile(  # behind a letter that an answer begins with: "A (cat) is not visible", "A: wrong", "A - not the dog"
    rf"[)\]\"'}}>]*(?:\s*(?:[:(]|\)(?=\s))\s*|\s+-\s+|\s*\((?!(?i:not)\b)[^()\n]{{0,60}}\)\s*[-:,]?\s*)(?i:{_WRONG})"
)
EXCEPTED = re.compile(  # before options that are called right, and are none: "None of the options (A, B, C, D) is right"
    rf"\b(?i:none of|no|neither|except(?: for)?|all but|any of)(?:\s+(?i:the|these|options?|choices?|answers?|of|given|listed|four|five))*"
    rf"[\s,(:]*(?:(?:[A-Z](?![A-Za-z])|{CODE})[\s,()]*(?:(?i:and|or|nor)\s)?\s*)*$"
)
HYPOTHETICAL = re.compile(  # before what somebody else may choose, or what was nearly chosen
    r"\bunlikely that\b|\bdisagree\b[^,.;]{0,40}? that\b|\bmistake to\b|\btempting to\b|\b(?:was|were) about to\b|\bwould have (?:said|chosen)\b"
    r"|\b(?:one|some|you|many|people|someone|anyone) (?:might|may|could|would) (?:\w+ )?(?:think|say|assume|guess|conclude|believe|expect)\b"
    r"|\b(?:might|may|could|would) (?:seem|appear|look)\b|\b(?:someone|anyone) who\b"
    r"|\b(?:claim|suggestion|idea|assertion|notion|belief|assumption|impression) that\b",
    re.IGNORECASE,
)
SECOND = re.compile(  # before the noun, or in its place: "the alternative answer is A", "Alternative: A"
    r"\b(?:alternative|alternate|second|(?:second|next)[ -]best|next|other|another|runner-up|distractor|trap|tempting|earlier|previous|"
    r"initial|original|your|incorrect|wrong)(?: (?:possible|plausible|likely|most))*(?: (?:answer|option|choice|letter|guess|pick))?[\"' ]*$",
    re.IGNORECASE,
)
QUOTED = re.compile(
    r"\b(?:captions?|texts?|sentences?|statements?|hints?|prompts?|descriptions?|notes?|passages?|titles?|labels?|premise|signs?|banners?|watermarks?|questions?|"
    r"context|subtitles?|messages?|users?|instructions?|you|it)\b[^.,;!?\n]{0,40}?\b(?:says?|said|claims?|claimed|mentions?|mentioned|states?|"
    r"stated|suggests?|suggested|names?|named|implies|imply|implied|asserts?|reads?|indicates?|tells?|describes?|calls?|asks?|"
    r"gives?|refers? to|saying|claiming|suggesting|stating|wants?|tries)\b|\b(?:caption|text|sentence|statement|hint|description)'s\b"
    r"|\b(?:in|by|from|of) the (?:caption|text|sentence|statement|hint|description)\b|(?:文字|文本|标题|说明|句子|描述|字幕|提示)[^,.;\n]{0,10}?(?:说|称|写|提到|表示|描述)",
    re.IGNORECASE,
)
_BY = (
    r"\b(?:according to|based (?:only |solely |purely )?on|per|from|following|going by|judging by)\s+(?:\w+\s+){0,3}?"
)
_CAPTION, _TEXT = (
    "(?:captions?|subtitles?|titles?|watermarks?|claims?)",
    "(?:texts?|hints?|statements?|sentences?|descriptions?|prompts?|notes?|passages?|context)",
)
BY_CAPTION = re.compile(  # in the sentence before a declaration, whatever commas are between
    rf"{_BY}{_CAPTION}\b|\bif\b[^.!?\n]{{0,60}}?\b(?:{_CAPTION}|{_TEXT})\b", re.IGNORECASE
)
BY_TEXT = re.compile(rf"{_BY}{_TEXT}\b|\bat first glance\b", re.IGNORECASE)  # which may be what is asked about
CONDITION = re.compile(r"\b(?:if|unless|suppose|were)\b", re.IGNORECASE)
SUPPOSED = re.compile(r"\b(?:would|could|might)\b", re.IGNORECASE)
LEFT_OPEN = re.compile(
    r"\b(?:cannot|unable to|not able to|impossible to|hard to|difficult to)\s+(?:\w+\s+){0,2}?"
    r"(?:tell|determine|identify|say|answer|decide|judge|know|help|assist)\b|\bnot (?:\w+ )?(?:sure|certain|clear)\b"
    r"|\b(?:unsure|uncertain|unclear|sorry|no idea|no way|none of|do not know)\b|无法|不确定|不知道|不清楚",
    re.IGNORECASE,
)
TAKEN_BACK = re.compile(
    r"\b(?:wait|actually|correction|on second thoughts?|scratch that|hold on|i mean|my mistake)\b", re.IGNORECASE
)
MARKED = re.compile(r"(?:\b(?:option|choice|letter|answer)|选项)[ (\[\"']*$|[(\[\"']$", re.IGNORECASE)
LETTER = re.compile(_LETTER)
CAPTION = re.compile(r"\b(?:caption|text|hint|title|description|sentence)s?\s*:\s*$", re.IGNORECASE)
NEXT_ITEM = re.compile(r"[ \"')\]}>.,;]*\n\s*[(\[\"']*([A-Z]{1,2})[)\]\"']*\s?[):.]")
CALLED_OPTION = re.compile(r"\b(?:option|choice|answer)[ (\"']*$", re.IGNORECASE)
NO = re.compile(r"\bno\b")
VERDICT_ENDS = re.compile(r"\s*[,;:-]|\s+(?:because|there|it|they|the|this|that|since|as)\b", re.IGNORECASE)


def _compiled(patterns: tuple[tuple[str, bool, bool], ...]) -> list[tuple[re.Pattern[str], bool, bool]]:
    return [(re.compile(pattern, re.IGNORECASE), small, texts) for pattern, small, texts in patterns]


DECLARING, DECLARING_AT_END = _compiled(_ANYWHERE), _compiled(_AT_END)
