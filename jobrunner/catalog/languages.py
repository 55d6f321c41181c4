"""Every language that Whisper or FLEURS knows, and how to find one by any of its names.

Sources: the language tokens of Whisper (Radford et al. 2022, table of languages, and `yue`,
which came with large-v3), the configurations of the data set google/fleurs (Conneau et al.
2022), ISO 639-3 and ISO 15924 for codes and scripts.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from jobrunner.catalog import native
from jobrunner.errors import SpecError

# Scripts whose vowels are combining marks: Whisper's basic normaliser deletes them.
_VOWEL_SIGN_SCRIPTS = "Beng Deva Gujr Guru Khmr Knda Laoo Mlym Mymr Orya Sinh Taml Telu Thai Tibt"
# Written without spaces between words: characters are counted, because words cannot be.
_SPACELESS = frozenset(("bo", "ja", "km", "lo", "my", "th", "yue", "zh"))
# Scripts besides the usual one in which people write a language today (CLDR, likely scripts).
_ALSO = {
    **dict.fromkeys(("ha", "id", "mg", "ms", "pa", "so", "sw", "wo", "yo"), "Arab"),
    **dict.fromkeys(("ba", "be", "ckb", "sr", "tg", "tt"), "Latn"),
    **{"az": "Cyrl Arab", "bs": "Cyrl", "ff": "Adlm Arab", "jv": "Java Arab", "kk": "Latn Arab"},
    **{"ky": "Latn Arab", "mn": "Mong Latn", "om": "Ethi", "ro": "Cyrl", "sd": "Deva"},
    **{"su": "Sund Arab", "tk": "Cyrl Arab", "uz": "Cyrl Arab", "yue": "Hans", "zh": "Hant"},
}
# Written in many scripts; nothing is expected of it.
_ANY_SCRIPT = frozenset(("sa",))


@dataclass(frozen=True, kw_only=True)
class Language:
    """A language as the project names it."""

    code: str
    """ISO 639-1 where there is one, else ISO 639-3: the code in run ids and storage keys."""
    name: str
    """English name."""
    iso639_3: str
    """Three-letter code."""
    script: str
    """ISO 15924 code of the script that transcripts use, such as `Grek`."""
    whisper_code: str | None
    """Code in Whisper's language token, or None if Whisper has none (`yue`: large-v3 only)."""
    fleurs: str | None
    """Configuration of google/fleurs, such as `el_gr`, or None."""
    aliases: tuple[str, ...] = ()
    """Other codes and names, lower-case."""

    @property
    def unit(self) -> Literal["words", "characters"]:
        """Unit of errors: characters if words are not separated by spaces."""
        return "characters" if self.code in _SPACELESS else "words"

    @property
    def vowel_signs(self) -> bool:
        """True if combining marks carry vowels, so that deleting them changes words."""
        return self.script in _VOWEL_SIGN_SCRIPTS

    @property
    def scripts(self) -> tuple[str, ...]:
        """ISO 15924 codes of its scripts, the usual one first; none if it may use any."""
        also = _ALSO.get(self.code, "").split()
        return () if self.code in _ANY_SCRIPT else (self.script, *also)

    @property
    def label(self) -> str:
        """Name and code, as reports show it: `Greek (el)`."""
        return f"{self.name} ({self.code})"

    @property
    def whisper(self) -> bool:
        """True if Whisper was trained on the language and has a token for it."""
        return self.whisper_code is not None


# code | ISO 639-3 | name | script | Whisper ("=": as code) | FLEURS | other codes and names
_TABLE = """
af  | afr | Afrikaans             | Latn | =  | af_za       |
am  | amh | Amharic               | Ethi | =  | am_et       |
ar  | ara | Arabic                | Arab | =  | ar_eg       | arb
as  | asm | Assamese              | Beng | =  | as_in       |
ast | ast | Asturian              | Latn | -  | ast_es      | bable
az  | aze | Azerbaijani           | Latn | =  | az_az       | azj, azeri
ba  | bak | Bashkir               | Cyrl | =  | -           |
be  | bel | Belarusian            | Cyrl | =  | be_by       |
bg  | bul | Bulgarian             | Cyrl | =  | bg_bg       |
bn  | ben | Bengali               | Beng | =  | bn_in       | bangla
bo  | bod | Tibetan               | Tibt | =  | -           | tib
br  | bre | Breton                | Latn | =  | -           |
bs  | bos | Bosnian               | Latn | =  | bs_ba       |
ca  | cat | Catalan               | Latn | =  | ca_es       | valencian
ceb | ceb | Cebuano               | Latn | -  | ceb_ph      |
ckb | ckb | Sorani Kurdish        | Arab | -  | ckb_iq      | central kurdish, sorani
cs  | ces | Czech                 | Latn | =  | cs_cz       | cze
cy  | cym | Welsh                 | Latn | =  | cy_gb       | wel
da  | dan | Danish                | Latn | =  | da_dk       |
de  | deu | German                | Latn | =  | de_de       | ger
el  | ell | Greek                 | Grek | =  | el_gr       | gre, modern greek
en  | eng | English               | Latn | =  | en_us       |
es  | spa | Spanish               | Latn | =  | es_419      | castilian
et  | est | Estonian              | Latn | =  | et_ee       | ekk
eu  | eus | Basque                | Latn | =  | -           | baq, euskara
fa  | fas | Persian               | Arab | =  | fa_ir       | per, pes, farsi
ff  | ful | Fula                  | Latn | -  | ff_sn       | fulah, fuc
fi  | fin | Finnish               | Latn | =  | fi_fi       |
fo  | fao | Faroese               | Latn | =  | -           |
fr  | fra | French                | Latn | =  | fr_fr       | fre
ga  | gle | Irish                 | Latn | -  | ga_ie       |
gl  | glg | Galician              | Latn | =  | gl_es       |
gu  | guj | Gujarati              | Gujr | =  | gu_in       |
ha  | hau | Hausa                 | Latn | =  | ha_ng       |
haw | haw | Hawaiian              | Latn | =  | -           |
he  | heb | Hebrew                | Hebr | =  | he_il       | iw
hi  | hin | Hindi                 | Deva | =  | hi_in       |
hr  | hrv | Croatian              | Latn | =  | hr_hr       |
ht  | hat | Haitian Creole        | Latn | =  | -           | haitian
hu  | hun | Hungarian             | Latn | =  | hu_hu       |
hy  | hye | Armenian              | Armn | =  | hy_am       | arm
id  | ind | Indonesian            | Latn | =  | id_id       | in
ig  | ibo | Igbo                  | Latn | -  | ig_ng       |
is  | isl | Icelandic             | Latn | =  | is_is       | ice
it  | ita | Italian               | Latn | =  | it_it       |
ja  | jpn | Japanese              | Jpan | =  | ja_jp       |
jv  | jav | Javanese              | Latn | jw | jv_id       | jw
ka  | kat | Georgian              | Geor | =  | ka_ge       | geo
kam | kam | Kamba                 | Latn | -  | kam_ke      |
kea | kea | Kabuverdianu          | Latn | -  | kea_cv      | cape verdean creole
kk  | kaz | Kazakh                | Cyrl | =  | kk_kz       |
km  | khm | Khmer                 | Khmr | =  | km_kh       |
kn  | kan | Kannada               | Knda | =  | kn_in       |
ko  | kor | Korean                | Kore | =  | ko_kr       |
ky  | kir | Kyrgyz                | Cyrl | -  | ky_kg       | kirghiz
la  | lat | Latin                 | Latn | =  | -           |
lb  | ltz | Luxembourgish         | Latn | =  | lb_lu       | letzeburgesch
lg  | lug | Ganda                 | Latn | -  | lg_ug       | luganda
ln  | lin | Lingala               | Latn | =  | ln_cd       |
lo  | lao | Lao                   | Laoo | =  | lo_la       |
lt  | lit | Lithuanian            | Latn | =  | lt_lt       |
luo | luo | Luo                   | Latn | -  | luo_ke      | dholuo
lv  | lav | Latvian               | Latn | =  | lv_lv       | lvs
mg  | mlg | Malagasy              | Latn | =  | -           |
mi  | mri | Maori                 | Latn | =  | mi_nz       | mao, māori
mk  | mkd | Macedonian            | Cyrl | =  | mk_mk       | mac
ml  | mal | Malayalam             | Mlym | =  | ml_in       |
mn  | mon | Mongolian             | Cyrl | =  | mn_mn       | khk
mr  | mar | Marathi               | Deva | =  | mr_in       |
ms  | msa | Malay                 | Latn | =  | ms_my       | may, zsm
mt  | mlt | Maltese               | Latn | =  | mt_mt       |
my  | mya | Burmese               | Mymr | =  | my_mm       | bur, myanmar
ne  | nep | Nepali                | Deva | =  | ne_np       | npi
nl  | nld | Dutch                 | Latn | =  | nl_nl       | dut, flemish
nn  | nno | Norwegian Nynorsk     | Latn | =  | -           | nynorsk
no  | nor | Norwegian             | Latn | =  | nb_no       | nb, nob, bokmål, norwegian bokmål
nso | nso | Northern Sotho        | Latn | -  | nso_za      | pedi, sepedi
ny  | nya | Nyanja                | Latn | -  | ny_mw       | chichewa, chewa
oc  | oci | Occitan               | Latn | =  | oc_fr       |
om  | orm | Oromo                 | Latn | -  | om_et       | gaz
or  | ori | Odia                  | Orya | -  | or_in       | ory, oriya
pa  | pan | Punjabi               | Guru | =  | pa_in       | panjabi
pl  | pol | Polish                | Latn | =  | pl_pl       |
ps  | pus | Pashto                | Arab | =  | ps_af       | pushto
pt  | por | Portuguese            | Latn | =  | pt_br       |
ro  | ron | Romanian              | Latn | =  | ro_ro       | rum, mo, moldavian, moldovan
ru  | rus | Russian               | Cyrl | =  | ru_ru       |
sa  | san | Sanskrit              | Deva | =  | -           |
sd  | snd | Sindhi                | Arab | =  | sd_in       |
si  | sin | Sinhala               | Sinh | =  | -           | sinhalese
sk  | slk | Slovak                | Latn | =  | sk_sk       | slo
sl  | slv | Slovenian             | Latn | =  | sl_si       | slovene
sn  | sna | Shona                 | Latn | =  | sn_zw       |
so  | som | Somali                | Latn | =  | so_so       |
sq  | sqi | Albanian              | Latn | =  | -           | alb
sr  | srp | Serbian               | Cyrl | =  | sr_rs       |
su  | sun | Sundanese             | Latn | =  | -           |
sv  | swe | Swedish               | Latn | =  | sv_se       |
sw  | swa | Swahili               | Latn | =  | sw_ke       | swh, kiswahili
ta  | tam | Tamil                 | Taml | =  | ta_in       |
te  | tel | Telugu                | Telu | =  | te_in       |
tg  | tgk | Tajik                 | Cyrl | =  | tg_tj       |
th  | tha | Thai                  | Thai | =  | th_th       |
tk  | tuk | Turkmen               | Latn | =  | -           |
tl  | tgl | Tagalog               | Latn | =  | fil_ph      | fil, filipino
tr  | tur | Turkish               | Latn | =  | tr_tr       |
tt  | tat | Tatar                 | Cyrl | =  | -           |
uk  | ukr | Ukrainian             | Cyrl | =  | uk_ua       |
umb | umb | Umbundu               | Latn | -  | umb_ao      |
ur  | urd | Urdu                  | Arab | =  | ur_pk       |
uz  | uzb | Uzbek                 | Latn | =  | uz_uz       | uzn
vi  | vie | Vietnamese            | Latn | =  | vi_vn       |
wo  | wol | Wolof                 | Latn | -  | wo_sn       |
xh  | xho | Xhosa                 | Latn | -  | xh_za       |
yi  | yid | Yiddish               | Hebr | =  | -           | ji
yo  | yor | Yoruba                | Latn | =  | yo_ng       |
yue | yue | Cantonese             | Hant | =  | yue_hant_hk | zh-yue
zh  | zho | Chinese               | Hans | =  | cmn_hans_cn | chi, cmn, mandarin
zu  | zul | Zulu                  | Latn | -  | zu_za       |
"""


def _read(table: str) -> Iterator[Language]:
    for line in table.strip().splitlines():
        code, iso, name, script, whisper, fleurs, aliases = (c.strip() for c in line.split("|"))
        yield Language(
            code=code,
            name=name,
            iso639_3=iso,
            script=script,
            whisper_code={"=": code, "-": None}.get(whisper, whisper),
            fleurs=None if fleurs == "-" else fleurs,
            aliases=(
                *(alias.strip() for alias in aliases.split(",") if alias.strip()),
                *native.NAMES.get(code, ()),
            ),
        )


# What people write for the apostrophe of Uzbek and the okina of Hawaiian.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bb\u02bc`", "'"))


def _key(name: str) -> str:
    """The name without differences of case, accents' encoding and what joins its parts."""
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return "-".join(plain.translate(_APOSTROPHES).replace("_", "-").split())


LANGUAGES: dict[str, Language] = {language.code: language for language in _read(_TABLE)}

_NAMES: dict[str, Language] = {
    _key(name): language
    for language in LANGUAGES.values()
    for name in (
        language.code,
        language.iso639_3,
        language.name,
        *language.aliases,
        *([language.fleurs] if language.fleurs else []),
    )
}

# Longer than any name here; the rest of a longer text is neither looked up nor echoed.
_LONGEST = 40
# The form of a language tag (RFC 5646): a language of 2 or 3 letters, then subtags.
_TAG = re.compile(r"([a-z]{2,3})((?:-[a-z0-9]{1,8})+)")


def find(text: str) -> Language:
    """Finds a language by its code, tag, name in English or itself, or FLEURS configuration.

    Accepts any case, `-` or `_`, and language tags with script and region (`zh-Hant_TW`, `pt-BR`).

    Raises:
        SpecError: no language has this name; the hint gives the nearest ones.
    """
    key = _key(text[: _LONGEST + 1])
    if len(text) <= _LONGEST:
        if key in _NAMES:
            return _NAMES[key]
        tag = _TAG.fullmatch(key)
        if tag and f"{tag[1]}{tag[2][:4]}" in _NAMES:
            return _NAMES[f"{tag[1]}{tag[2][:4]}"]
        if tag and tag[1] in _NAMES:
            return _NAMES[tag[1]]
    shown = repr(text)
    if len(text) > _LONGEST:
        shown = f"{text[:_LONGEST]!r}... ({len(text)} characters)"
    raise SpecError("lang", f"no language is called {shown}.", hint=_nearest(key))


def _nearest(key: str) -> str:
    """A hint with up to three languages whose names resemble the text."""
    matches = difflib.get_close_matches(key, _NAMES, n=6, cutoff=0.6)
    near = list(dict.fromkeys(_NAMES[match] for match in matches))[:3]
    if not near:
        return "`jobrunner languages` lists all of them."
    return f"Nearest: {', '.join(f'{language.code} ({language.name})' for language in near)}."
