"""The language table is complete, and a language is found by any of its names."""

from __future__ import annotations

import ast
import unicodedata
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.catalog import native, scripts
from jobrunner.catalog.languages import LANGUAGES, find
from jobrunner.errors import SpecError

# The configurations of google/fleurs, as its data card lists them.
FLEURS = """
af_za am_et ar_eg as_in ast_es az_az be_by bg_bg bn_in bs_ba ca_es ceb_ph ckb_iq cmn_hans_cn cs_cz
cy_gb da_dk de_de el_gr en_us es_419 et_ee fa_ir ff_sn fi_fi fil_ph fr_fr ga_ie gl_es gu_in ha_ng
he_il hi_in hr_hr hu_hu hy_am id_id ig_ng is_is it_it ja_jp jv_id ka_ge kam_ke kea_cv kk_kz km_kh
kn_in ko_kr ky_kg lb_lu lg_ug ln_cd lo_la lt_lt luo_ke lv_lv mi_nz mk_mk ml_in mn_mn mr_in ms_my
mt_mt my_mm nb_no ne_np nl_nl nso_za ny_mw oc_fr om_et or_in pa_in pl_pl ps_af pt_br ro_ro ru_ru
sd_in sk_sk sl_si sn_zw so_so sr_rs sv_se sw_ke ta_in te_in tg_tj th_th tr_tr uk_ua umb_ao ur_pk
uz_uz vi_vn wo_sn xh_za yo_ng yue_hant_hk zu_za
"""


def whisper_table(name: str) -> dict[str, str]:
    """A literal table of transformers' Whisper tokenizer, read without importing it (8 s)."""
    package = find_spec("transformers")
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).parent / "models" / "whisper" / "tokenization_whisper.py"
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            keys, values = node.value.keys, node.value.values  # type: ignore[attr-defined]
            pairs = zip(keys, values, strict=True)
            return {k.value: v.value for k, v in pairs if hasattr(k, "value")}
    raise AssertionError(f"transformers has no table {name}")


def test_every_language_of_whisper_is_known_and_no_other_claims_a_token() -> None:
    whisper = whisper_table("LANGUAGES")
    ours = {language.whisper_code for language in LANGUAGES.values() if language.whisper}
    assert len(whisper) == 100
    assert ours == set(whisper)


def test_whispers_own_codes_and_names_find_the_language_with_that_token() -> None:
    names = {name: code for code, name in whisper_table("LANGUAGES").items()}
    for name, code in {**names, **whisper_table("TO_LANGUAGE_CODE")}.items():
        assert find(name).whisper_code == code
        assert find(code).whisper_code == code


def test_every_configuration_of_fleurs_belongs_to_one_language() -> None:
    configs = [language.fleurs for language in LANGUAGES.values() if language.fleurs]
    expected = FLEURS.split()
    assert len(expected) == 102
    assert sorted(configs) == sorted(expected)
    for config in expected:
        assert find(config).fleurs == config


def test_no_two_languages_share_a_name() -> None:
    names: list[str] = []
    for language in LANGUAGES.values():
        given_names = (
            language.code,
            language.iso639_3,
            language.name,
            *language.aliases,
        )
        names.extend({name.casefold() for name in given_names})
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("el", "el"),
        ("EL", "el"),
        (" Greek ", "el"),
        ("ell", "el"),
        ("el_gr", "el"),
        ("zh-Hant_TW", "zh"),
        ("zh-yue", "yue"),
        ("zh-yue-HK", "yue"),
        ("yue-Hant-HK", "yue"),
        ("pt-BR", "pt"),
        ("es-419", "es"),
        ("sr-Latn-RS", "sr"),
        ("no", "no"),
        ("nb", "no"),
        ("nb-NO", "no"),
        ("nn-NO", "nn"),
        ("jw", "jv"),
        ("fil", "tl"),
        ("Haitian Creole", "ht"),
        ("haitian_creole", "ht"),
        ("iw", "he"),
        ("Ελληνικά", "el"),
        ("ΕΛΛΗΝΙΚΆ", "el"),
        (unicodedata.normalize("NFD", "Ελληνικά"), "el"),
        ("Français", "fr"),
        ("Kiswahili", "sw"),
        ("TÜRKÇE", "tr"),
        ("हिन्दी", "hi"),
        ("Tiếng Việt", "vi"),
        ("bahasa_indonesia", "id"),
        ("O\u2018zbekcha", "uz"),
        ("\u02bb\u014dlelo Hawai\u02bbi", "haw"),
        ("日本語", "ja"),
        ("粵語", "yue"),
        ("Te Reo Māori", "mi"),
    ],
)
def test_a_language_is_found_by(text: str, code: str) -> None:
    assert find(text).code == code


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("Greeek", "el (Greek)"),
        ("germna", "de (German)"),
        ("portugese", "pt (Portuguese)"),
    ],
)
def test_a_misspelt_name_gets_the_nearest_ones(text: str, nearest: str) -> None:
    with pytest.raises(SpecError) as caught:
        find(text)
    assert nearest in str(caught.value)
    assert str(caught.value).startswith("lang: ")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "qqq",
        "el-",
        "-el",
        "el--gr",
        "../../etc",
        "٣٣",
        "\x1b[31m",
        "el\n",
        "ｅｌ",
        "é",
    ],
)
def test_what_is_no_language_is_refused(text: str) -> None:
    if text == "el\n":
        assert find(text).code == "el"
        return
    with pytest.raises(SpecError):
        find(text)


def test_a_text_of_one_mebibyte_is_refused_in_one_short_line() -> None:
    with pytest.raises(SpecError) as caught:
        find("el" * 2**19)
    assert len(str(caught.value)) < 300
    assert "1048576 characters" in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_gives_a_language_or_one_printable_line(text: str) -> None:
    try:
        told = find(text).name
    except SpecError as error:
        told = str(error)
    assert told.isprintable()
    assert len(told) < 700


def test_languages_without_spaces_count_characters_and_others_words() -> None:
    spaceless = {code for code, language in LANGUAGES.items() if language.unit == "characters"}
    assert spaceless == {"zh", "yue", "ja", "th", "lo", "km", "my", "bo"}


def test_scripts_with_vowel_signs_say_so() -> None:
    assert all(find(code).vowel_signs for code in ("hi", "ta", "th", "km"))
    assert not any(find(code).vowel_signs for code in ("el", "vi", "ar", "zh"))


def test_each_name_in_the_language_itself_finds_it() -> None:
    assert native.NAMES.keys() <= LANGUAGES.keys()
    for code, names in native.NAMES.items():
        for name in names:
            assert name == name.lower()
            assert find(name).code == code
            assert find(name.upper()).code == code
            assert find(unicodedata.normalize("NFD", name)).code == code


def test_a_name_is_in_the_script_of_the_language_or_in_latin_letters() -> None:
    words = {"Grek": "GREEK", "Deva": "DEVANAGARI", "Beng": "BENGALI", "Geor": "GEORGIAN"}
    words |= {"Armn": "ARMENIAN", "Hebr": "HEBREW", "Ethi": "ETHIOPIC", "Thai": "THAI"}
    words |= {"Arab": "ARABIC", "Cyrl": "CYRILLIC", "Latn": "LATIN", "Taml": "TAMIL"}
    checked = 0
    for code, names in native.NAMES.items():
        if word := words.get(LANGUAGES[code].script):
            letters = {unicodedata.name(c).split()[0] for c in names[0] if c.isalpha()}
            assert letters <= {word, "MODIFIER"}, (code, letters)
            checked += 1
    assert checked > 70


def test_every_script_of_a_language_is_known_and_the_usual_one_comes_first() -> None:
    for language in LANGUAGES.values():
        assert all(scripts.name(code) for code in language.scripts)
        assert language.scripts[:1] == (language.script,) or language.code == "sa"
        assert len(set(language.scripts)) == len(language.scripts)
    assert find("sr").scripts == ("Cyrl", "Latn")
    assert find("el").scripts == ("Grek",)
    assert find("sa").scripts == ()


def test_the_name_of_a_language_in_its_own_script_has_letters_of_that_script() -> None:
    written = {"Grek": "Ελληνικά", "Deva": "हिन्दी", "Hans": "中文", "Jpan": "日本語ひらがな"}
    written |= {"Kore": "한국어", "Geor": "ქართული", "Thai": "ไทย", "Ethi": "አማርኛ", "Mymr": "မြန်မာ"}
    written |= {"Orya": "ଓଡ଼ିଆ", "Sinh": "සිංහල", "Tibt": "བོད", "Laoo": "ລາວ", "Khmr": "ខ្មែរ"}
    for code, text in written.items():
        words = {word for letter in text if (word := scripts.word(letter))}
        assert words
        assert words <= scripts.words(code)
    assert [scripts.word(each) for each in "1 .µªʻ\u0301"] == [""] * 7
