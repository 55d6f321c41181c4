"""Names of languages in the languages themselves, in lower case, by code."""

from __future__ import annotations

# Left out: languages whose own name is the English one, and names that are not certain.
_TABLE = """
am አማርኛ | ar العربية | as অসমীয়া | ast asturianu | az azərbaycanca, azərbaycan dili
ba башҡортса, башҡорт теле | be беларуская | bg български | bn বাংলা | bo བོད་སྐད | br brezhoneg
bs bosanski | ca català | ceb sinugboanon | ckb سۆرانی | cs čeština, česky | cy cymraeg | da dansk
de deutsch | el ελληνικά | es español, castellano | et eesti | fa فارسی | ff fulfulde, pulaar
fi suomi | fo føroyskt | fr français | ga gaeilge | gl galego | gu ગુજરાતી | haw ʻōlelo hawaiʻi
he עברית | hi हिन्दी, हिंदी | hr hrvatski | ht kreyòl ayisyen, kreyòl | hu magyar | hy հայերեն
id bahasa indonesia | is íslenska | it italiano | ja 日本語 | jv basa jawa | ka ქართული
kam kikamba
kk қазақша, қазақ тілі | km ខ្មែរ, ភាសាខ្មែរ | kn ಕನ್ನಡ | ko 한국어 | ky кыргызча | la latina
lb lëtzebuergesch | ln lingála | lo ລາວ, ພາສາລາວ | lt lietuvių | lv latviešu | mi te reo māori
mk македонски | ml മലയാളം | mn монгол | mr मराठी | ms bahasa melayu | mt malti | my မြန်မာ, မြန်မာဘာသာ
ne नेपाली | nl nederlands, vlaams | no norsk | nso sesotho sa leboa | ny chinyanja
om afaan oromoo | or ଓଡ଼ିଆ | pa ਪੰਜਾਬੀ | pl polski | ps پښتو | pt português | ro română | ru русский
sa संस्कृतम् | sd سنڌي | si සිංහල | sk slovenčina | sl slovenščina | sn chishona
so soomaali, af soomaali | sq shqip | sr српски, srpski | su basa sunda | sv svenska | ta தமிழ்
te తెలుగు | tg тоҷикӣ | th ไทย, ภาษาไทย | tk türkmençe | tr türkçe | tt татарча | uk українська
ur اردو | uz o'zbekcha, o'zbek tili | vi tiếng việt | xh isixhosa | yi יידיש, ייִדיש | yo yorùbá
yue 粵語, 粤语, 廣東話, 广东话 | zh 中文, 汉语, 漢語, 普通话, 普通話 | zu isizulu
"""


def _read(table: str) -> dict[str, tuple[str, ...]]:
    rows = [row.strip().partition(" ") for line in table.split("\n") for row in line.split("|")]
    return {
        code: tuple(name.strip() for name in names.split(",")) for code, _, names in rows if code
    }


NAMES: dict[str, tuple[str, ...]] = _read(_TABLE)
