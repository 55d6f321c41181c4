"""The normalisers keep what a language needs, and `basic` equals Whisper's own."""

from __future__ import annotations

import runpy
import unicodedata
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobrunner.scoring import text as ways
from jobrunner.scoring.text import basic, marks, raw

SENTENCES = {
    "Arabic": "السَّلامُ عَلَيْكُم، كيفَ حالُك؟",
    "Bengali": "আমি বাংলায় গান গাই।",
    "Burmese": "မင်္ဂလာပါ။ နေကောင်းလား။",
    "Chinese": "你好，世界！（旁白）",
    "Czech": "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "French": "L'été, c'est « très » beau — n'est-ce pas ?",
    "Georgian": "გამარჯობა, როგორ ხარ?",
    "German": "Straße & Füße: 10 % GRÖSSER!",
    "Greek": "Ὁ Οδυσσέας είπε: «Γειά σου ΚΌΣΜΕ»;",
    "Hebrew": "שָׁלוֹם עוֹלָם!",
    "Hindi": "मैं हिन्दी में बात करता हूँ।",
    "Japanese": "今日は、いい天気ですね。ガギグ ｶﾞｷﾞ",
    "Khmer": "សួស្តី ពិភពលោក។",
    "Korean": "안녕하세요, 세계!",
    "Malayalam": "മലയാളം സംസാരിക്കുന്നു.",
    "Tamil": "வணக்கம் உலகம்!",
    "Thai": "สวัสดีชาวโลก ๑๒๓",
    "Turkish": "İSTANBUL'DA ILIK bir gün [gürültü] (müzik)",
    "Vietnamese": "Xin chào thế giới, tiếng Việt!",
    "symbols": "a_b c+d=e <unk> 5€ №7 ½ ﬁ … 😀️ \u200d x\u00a0y\t\n",
}


@pytest.fixture(scope="module")
def whisper() -> Callable[[str], str]:
    """transformers' own normaliser, from its file alone (the whole package takes 8 s)."""
    package = find_spec("transformers")
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).parent / "models" / "whisper" / "english_normalizer.py"
    normaliser: Callable[[str], str] = runpy.run_path(str(source))["BasicTextNormalizer"]()
    return normaliser


@pytest.mark.parametrize("name", SENTENCES)
def test_basic_equals_whispers_normaliser_in(name: str, whisper: Callable[[str], str]) -> None:
    assert basic(SENTENCES[name]) == whisper(SENTENCES[name])


@given(st.text())
def test_basic_equals_whispers_normaliser_on_any_text(
    whisper: Callable[[str], str], text: str
) -> None:
    assert basic(text) == whisper(text)


@given(st.text(alphabet="<>[]() aÀ"))
def test_basic_equals_whispers_normaliser_on_brackets(
    whisper: Callable[[str], str], text: str
) -> None:
    assert basic(text) == whisper(text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Arabic", "السَّلامُ عَلَيْكُم كيفَ حالُك"),
        ("Chinese", "你好 世界 旁白"),
        ("French", "l été c est très beau n est ce pas"),
        ("German", "strasse füsse 10 grösser"),
        ("Greek", "ὁ οδυσσέασ είπε γειά σου κόσμε"),
        ("Hindi", "मैं हिन्दी में बात करता हूँ"),
        ("Malayalam", "മലയാളം സംസാരിക്കുന്നു"),
        ("Thai", "สวัสดีชาวโลก ๑๒๓"),
        ("Vietnamese", "xin chào thế giới tiếng việt"),
        ("symbols", "a b c d e unk 5 7 ½ fi x y"),
    ],
)
def test_marks_drops_case_and_punctuation_and_keeps_marks_in(name: str, expected: str) -> None:
    assert marks(SENTENCES[name]) == unicodedata.normalize("NFC", expected)


def test_basic_cuts_hindi_words_apart_and_marks_does_not() -> None:
    assert marks("हिन्दी") == "हिन्दी"
    assert basic("हिन्दी").split() == ["ह", "न", "द"]


def test_two_malayalam_words_become_many_in_basic() -> None:
    assert len(marks("മലയാളം സംസാരിക്കുന്നു").split()) == 2
    assert len(basic("മലയാളം സംസാരിക്കുന്നു").split()) > 6


def test_composed_and_decomposed_text_are_one_in_marks_and_two_in_raw() -> None:
    composed, decomposed = "é", "e\u0301"
    assert marks(composed) == marks(decomposed)
    assert raw(composed) != raw(decomposed)


def test_a_zero_width_space_separates_words_and_joiners_do_not() -> None:
    assert marks("ខ្ញុំ\u200bទៅ") == "ខ្ញុំ ទៅ"
    assert marks("می\u200cشود") == "میشود"


@given(st.text())
def test_marks_is_idempotent(text: str) -> None:
    assert marks(marks(text)) == marks(text)


@given(st.text())
def test_case_makes_no_difference_in_marks(text: str) -> None:
    assert marks(unicodedata.normalize("NFD", text).casefold()) == marks(text)


@given(st.text())
def test_no_normaliser_leaves_white_space_that_counts(text: str) -> None:
    for normalised in (raw(text), marks(text)):
        assert normalised == " ".join(normalised.split())


@given(st.text(alphabet=st.characters(categories=["Mn", "Mc", "Lo"])))
@example("\u0345\u0304")
def test_marks_keeps_as_many_marks_as_the_composed_text_has(text: str) -> None:
    def count(text: str) -> int:
        visible = [c for c in text if not 0xFE00 <= ord(c) <= 0xFE0F]
        visible = [c for c in visible if not 0xE0100 <= ord(c) <= 0xE01EF]
        # Folded in the decomposed order (D145): U+0345 becomes a letter, and marks move before it.
        decomposed = unicodedata.normalize("NFD", "".join(visible))
        composed = unicodedata.normalize("NFC", decomposed.casefold())
        return sum(unicodedata.category(c)[0] == "M" for c in composed)

    assert count(marks(text)) == count(text)


@given(st.text(max_size=12) | st.text("()[]<>. aά\uff9e\u037a\ufc5e\u0301\u200d1²", max_size=8))
def test_a_text_has_text_if_every_way_leaves_some(reference: str) -> None:
    assert ways.has_text(reference) == all(way.normalise(reference).strip() for way in ways.WAYS)
