"""The page is complete in itself, and shows no text as markup."""

from __future__ import annotations

from html.parser import HTMLParser
from xml.etree import ElementTree

from jobrunner.reports import compare, page
from tests.harness.results import measure


class _Audit(HTMLParser):
    """Collects what a page would fetch or run, and whether its tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [f"{tag} {name}" for name, _ in attrs if name in {"src", "href", "onload"}]
        self.fetched += [tag] if tag in {"script", "link", "iframe", "img"} else []
        if tag not in {"meta", "line", "circle"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"line", "circle"}:
            assert self.open.pop() == tag


def test_the_page_is_complete_in_itself_and_well_formed() -> None:
    results = measure("el", 0.9, 0.1) + measure("hi", 0.5, 0.4) + measure("th", 0.6, 0.2)
    made = page(compare(results))
    audit = _Audit()
    audit.feed(made)
    assert audit.fetched == []
    assert audit.open == []
    assert "http" not in made
    assert "prefers-color-scheme: dark" in made
    assert "In Hindi (hi), Thai (th) the basic way deletes vowel signs" in made
    picture = made[made.index("<svg") : made.index("</svg>") + 6]
    root = ElementTree.fromstring(picture)
    assert len(root.findall("g")) == 6
    assert page(compare(results)) == made


def test_what_comes_from_outside_is_escaped_in_the_page() -> None:
    hostile = "<script>alert(1)</script>"
    results = [
        result.model_copy(update={"model": hostile, "device": hostile, "test_set": hostile})
        for result in measure("el", 0.9, 0.1)
    ]
    assert "<script" not in page(compare(results), title=hostile)
