"""Text from a configuration is shown in cards as it is written, and becomes markup in no format."""

import re

import pytest
import yaml
from markdown_it import MarkdownIt

from brownid.release.citation import LANGEVIN, bibtex, citation_file
from brownid.release.contents import ReleaseDescription
from brownid.release.licences import card_keys, licence_text
from brownid.release.markup import code, link, one_line, plain, table, tex, yaml_header

HOSTILE = (
    "a | b",
    "`code` and ``more``",
    "<script>alert(1)</script><img src=x onerror=y>",
    "a\n# heading\n\n- item\n---\n",
    "[click](javascript:alert(1)) ![x](y.png)",
    "**bold** _soft_ __x__ ~~gone~~",
    "# first",
    "- item",
    "+ item",
    "12. item",
    "1.0.0",
    "---",
    "=====",
    "> quote",
    "&lt;b&gt; &amp; &#35;",
    "back\\slash \\* \\| \\",
    "$x_1$ {curly} %TODO ~x^2",
    "```\nfence\n```",
    ": colon: 'quote' \"double\"",
    "\u202ereversed\u2066 \x00\x1b[31m",
    "license: mit\n---\n",
    "~~~",
    "<https://example.org/>",
)
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def shown(markdown):
    """The text of rendered Markdown, and the kinds of its elements."""
    kinds, text = set(), []
    for token in RENDERER.parse(markdown):
        kinds.add(token.tag)
        for child in token.children or ():
            kinds |= {child.tag} - {""} | ({"html"} if child.type.startswith("html") else set())
            text.append(child.content)
        if token.type.startswith("html"):
            kinds.add("html")
    return " ".join("".join(text).split()), kinds - {""}


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_shown_as_it_is_written_in_paragraphs_headings_lists_and_tables(text):
    written = one_line(text)
    assert shown(plain(text)) == (written, {"p"})
    assert shown(f"# {plain(text)}") == (written, {"h1"})
    assert shown(f"- {plain(text)}") == (written, {"ul", "li", "p"})
    found, kinds = shown(table(["head"], [[plain(text)], ["last"]]))
    assert found == f"head{written}last" and kinds == {"table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize("text", HOSTILE)
def test_code_shows_text_as_it_is_written(text):
    found, kinds = shown(table(["head"], [[code(text)]]))
    assert found == f"head{one_line(text)}" and kinds <= {"table", "thead", "tbody", "tr", "th", "td", "code"}


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "https://a.b/)(x", "https://a.b/<x>", "http:// x", "a\nb", ""]
)
def test_only_an_address_of_the_web_becomes_a_link(address):
    assert "a" not in shown(link("text", address))[1]
    assert "a" in shown(link("te[x]t", "https://example.org/x?y=1#z"))[1]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_yaml_header_holds_the_text_and_ends_where_it_should(text):
    header = yaml_header({"pretty_name": one_line(text), **card_keys(text)})
    inside = re.fullmatch(r"---\n(.*)\n---", header, re.DOTALL)[1]
    assert yaml.safe_load(inside)["pretty_name"] == one_line(text)
    assert "\n---" not in inside and re.fullmatch(r"[a-z0-9-]+", yaml.safe_load(inside)["license_name"])


@pytest.mark.parametrize("text", HOSTILE)
def test_citation_and_licence_keep_their_structure_whatever_the_creator_is_called(text):
    description = ReleaseDescription("tiny", text, text, text, version=text, date="2026-01-31")
    entries = bibtex(description, [LANGEVIN])
    assert [line for line in entries.splitlines() if line.startswith("@")] == [
        "@misc{tiny,",
        f"@inproceedings{{{LANGEVIN.key},",
    ]
    unescaped = re.sub(r"\\[{}]", "", entries)
    assert unescaped.count("{") == unescaped.count("}")
    cited = yaml.safe_load(citation_file(description, [LANGEVIN]))
    assert cited["authors"] == [{"name": one_line(text)}] and cited["date-released"] == "2026-01-31"
    assert licence_text(description, [text]).splitlines()[-1] == f"- {one_line(text)}"


def test_tex_escapes_what_would_be_a_command():
    assert tex("50 % of $x_1$ & \\input{y} #~^") == (
        r"50 \% of \$x\_1\$ \& \textbackslash{}input\{y\} \#\textasciitilde{}\textasciicircum{}"
    )
