"""What is said of transcripts that are empty, damaged, or in another script."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobrunner.corpora import folder as audiofolder
from jobrunner.corpora import splits
from jobrunner.errors import SpecError
from jobrunner.spec import DataSpec
from tests.harness.audiofolders import write_folder

DATA = DataSpec.model_validate({"source": "folder:speech"})


def _rows(**texts: str) -> list[tuple[str, str, str, str]]:
    """Ten clips for each split; a text given for a split is that of all its clips."""
    return [
        (f"{split}/{n}.mp3", texts.get(split, f"Πρόταση {n} {split[:2]}."), f"{split}{n}", split)
        for split in ("train", "validation", "test")
        for n in range(10)
    ]


def _warnings(root: Path, rows: list[tuple[str, str, str, str]], language: str = "el") -> list[str]:
    return list(audiofolder.check(write_folder(root, rows), language, DATA).warnings)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("text", ["... !", "—", "(γέλια)", "[θόρυβος]", "\u200b\u200d", "🙂"])
def test_a_split_without_any_text_is_refused_by_its_name(
    tmp_path: Path, split: str, text: str
) -> None:
    write_folder(tmp_path, _rows(**{split: text}))
    with pytest.raises(SpecError) as caught:
        audiofolder.check(tmp_path, "el", DATA)
    assert str(caught.value) == (
        f"data.text_column: all 10 transcripts of {split} are nothing but punctuation or text in "
        f'brackets, such as "{text}" ({split}/0.mp3). Check the transcripts of the {split} split.'
    )


@pytest.mark.parametrize(
    ("split", "then"), [("train", "trained on as written"), ("test", "not measured")]
)
def test_some_transcripts_without_text_are_counted_with_an_example(
    tmp_path: Path, split: str, then: str
) -> None:
    rows = [
        (name, "?!" if name in {f"{split}/3.mp3", f"{split}/4.mp3"} else text, who, part)
        for name, text, who, part in _rows()
    ]
    assert _warnings(tmp_path, rows) == [
        f"el: 2 of 10 transcripts of {split} are nothing but punctuation or text in brackets, "
        f'such as "?!" ({split}/3.mp3); {then}.'
    ]


def test_a_validation_that_would_be_held_out_without_text_is_refused(tmp_path: Path) -> None:
    # A transcript of punctuation is a sentence as any other; its hash decides.
    bare = next(text for text in ("...", "!?", "-", ";", ":", "«»", "/") if _held([text, "Ναι."]))
    rows = [("a.mp3", bare, "a", "train"), ("b.mp3", "Ναι.", "b", "train"), _rows()[-1]]
    with pytest.raises(SpecError, match="the one transcript of validation is nothing but"):
        audiofolder.check(write_folder(tmp_path, rows), "el", DATA)


def _held(texts: list[str]) -> bool:
    """True if the first text would be held out."""
    sentences = [splits.sentence(text) for text in texts]
    return splits.hold_out(sentences, DATA.holdout) == {sentences[0]}


def test_characters_that_a_conversion_lost_are_warned_of(tmp_path: Path) -> None:
    rows = _rows()
    rows[0] = (rows[0][0], "Καλημ\ufffdρα", *rows[0][2:])
    assert _warnings(tmp_path, rows) == [
        "el: 1 of 10 transcripts of train lost characters to another conversion (U+FFFD), such as "
        '"Καλημ\ufffdρα" (train/0.mp3).'
    ]


@pytest.mark.parametrize(
    ("language", "text", "word", "letter"),
    [
        ("el", "Η Aθήνα σήμερα", "Aθήνα", "Latin A (U+0041)"),
        ("el", "όχι, καλο", "", ""),
        ("el", "στο e-mail του Bob", "", ""),
        ("ru", "в Mоскве", "Mоскве", "Latin M (U+004D)"),
        ("sr", "Beograd i Нови Сaд", "Сaд", "Latin a (U+0061)"),
        ("cy", "Bоre da", "Bоre", "Cyrillic о (U+043E)"),
        ("ja", "Tシャツ", "", ""),
    ],
)
def test_letters_that_look_alike_within_a_word_are_warned_of(
    tmp_path: Path, language: str, text: str, word: str, letter: str
) -> None:
    rows = _rows()
    rows[3] = (rows[3][0], text, *rows[3][2:])
    found = [line for line in _warnings(tmp_path, rows, language) if "alphabets" in line]
    assert found == (
        [
            f"{language}: 1 of 10 transcripts of train mix alphabets within a word, such as "
            f'"{word}" with {letter} in "{text}" (train/3.mp3).'
        ]
        if word
        else []
    )


ENGLISH = "Hello there, my friend"


@pytest.mark.parametrize(
    ("language", "text", "scripts"),
    [
        ("el", ENGLISH, "Greek but in Latin"),
        ("hi", ENGLISH, "Devanagari but in Latin"),
        ("fa", ENGLISH, "Arabic but in Latin"),
        ("ja", ENGLISH, "Japanese but in Latin"),
        ("ko", ENGLISH, "Korean but in Latin"),
        ("zh", ENGLISH, "Han but in Latin"),
        ("am", ENGLISH, "Ethiopic but in Latin"),
        ("cy", "Καλημέρα σας", "Latin but in Greek"),
        ("ru", "Καλημέρα σας", "Cyrillic but in Greek"),
        ("sr", "Καλημέρα σας", "Cyrillic or Latin but in Greek"),
        ("zh", "こんにちは", "Han but in Japanese"),
    ],
)
def test_transcripts_in_another_script_are_warned_of_with_an_example(
    tmp_path: Path, language: str, text: str, scripts: str
) -> None:
    rows = _rows(train=text, validation=text, test=text)
    assert [line for line in _warnings(tmp_path, rows, language) if "written" in line] == [
        f"{language}: 10 of 10 transcripts of {split} are not written in {scripts}, such as "
        f'"{text}" ({split}/0.mp3).'
        for split in ("train", "validation", "test")
    ]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("el", "Πες hello στον φίλο μου 2024 µ"),
        ("el", "Ἐν ἀρχῇ ἦν ὁ λόγος"),
        ("sr", "Добро јутро"),
        ("sr", "Dobro jutro"),
        ("uz", "Салом, дўстим"),
        ("zh", "你好，朋友"),
        ("yue", "你好，朋友"),
        ("ja", "こんにちは、友達のＡさん"),
        ("ko", "안녕하세요"),
        ("fa", "می‌خواهم بروم"),
        ("haw", "Ua hoʻi ʻo ia"),
        ("yo", "Ẹ káàárọ̀"),
        ("sa", "ধর্মক্ষেত্রে"),
        ("pa", "ਸਤ ਸ੍ਰੀ ਅਕਾਲ"),
        ("ka", "გამარჯობა"),
        ("el", "1984"),
    ],
)
def test_what_people_write_in_a_language_gives_no_warning(
    tmp_path: Path, language: str, text: str
) -> None:
    rows = _rows(train=text, validation=text, test=text)
    assert [line for line in _warnings(tmp_path, rows, language) if "written" in line] == []


def test_a_few_transcripts_in_another_script_are_no_fault(tmp_path: Path) -> None:
    rows = [(f"{n}.mp3", f"Πρόταση {n}.", f"{n}", "train") for n in range(40)]
    rows += [("t.mp3", "Κάτι άλλο.", "t", "test")]
    rows[3] = ("3.mp3", ENGLISH, "3", "train")
    rows[4] = ("4.mp3", ENGLISH, "4", "train")
    assert _warnings(tmp_path, rows) == []
    rows[5] = ("5.mp3", ENGLISH, "5", "train")
    (warning,) = _warnings(tmp_path, rows)
    assert warning.startswith("el: 3 of 40 transcripts of train are not written in Greek")
