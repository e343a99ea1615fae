"""Renders Markdown with GitHub's own renderer and tells what came out.

Raw HTML is passed through, which GitHub does within a list of tags: what is not written cannot come out.
"""

import json
import sys
from html.parser import HTMLParser

import cmarkgfm
from cmarkgfm.cmark import Options

CODE = {"code", "pre"}
VOID = {"br", "hr", "img", "input", "link", "meta"}


class Seen(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.comments = [], [], []
        self.rows, self.code, self.outside, self.unbalanced = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append([tag, [name for name, _ in attributes]])
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag == "code":
            self.code.append("")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_comment(self, data):
        self.comments.append(data)

    def handle_decl(self, data):
        self.comments.append(data)

    def handle_pi(self, data):
        self.comments.append(data)

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
        if "code" in self.open:
            self.code[-1] += data
        if not CODE & set(self.open):
            self.outside.append(data)


seen = Seen()
html = cmarkgfm.github_flavored_markdown_to_html(sys.stdin.read(), options=Options.CMARK_OPT_UNSAFE)
seen.feed(html)
seen.close()
json.dump(
    {
        "tags": seen.tags,
        "comments": seen.comments,
        "rows": seen.rows,
        "code": seen.code,
        "outside": "".join(seen.outside),
        "unbalanced": seen.unbalanced + seen.open,
    },
    sys.stdout,
)
