"""What the browser of the tests must notice, on a page in which everything is wrong."""

from pathlib import Path

from browser import PHONE, View, look

GOOD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>good</title>
<meta name="viewport" content="width=device-width"></head><body><main><h1>Good</h1><p><a href="#a">one</a></p>
<div tabindex="0" role="region" aria-label="two"><p id="a">text</p></div></main></body></html>"""
BAD = """<!doctype html><html><head><title>bad</title><style>a:focus { outline: none }
@media (prefers-color-scheme: light) { p { color: #eee }}
@media (prefers-color-scheme: dark) { p { color: #555; background: #444 }} th { word-break: break-all }</style></head><body>
<img src="https://example.org/x.png"><p>faint</p><a href="#x">link</a><div style="width: 500px">wide</div>
<table style="width: 30px; table-layout: fixed"><tr><th>layer</th></tr></table><script>console.log("hello")</script></body></html>"""


def test_what_is_wrong_with_a_page_is_seen(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.html", tmp_path / "bad.html"
    good.write_text(GOOD)
    bad.write_text(BAD)

    def nothing(view: View) -> bool:
        return not (view.violations or view.console or view.requests or view.overflow or view.broken)

    for dark in (False, True):
        right, wrong = look([good, bad], widths=(PHONE,), dark=dark, printing=True, pictures=tmp_path)
        assert right.loaded and nothing(right) and right.printed == 1
        assert right.focusable == [name for name, seen in right.focus if seen] == ["one", "two"]
        rules = {line.partition(":")[0] for line in wrong.violations}
        assert {"image-alt", "color-contrast", "html-has-lang"} <= rules
        assert any("hello" in line for line in wrong.console)
        assert wrong.remote == ["https://example.org/x.png"]
        assert wrong.overflow > 0 and wrong.broken == ["layer"]
        assert wrong.focus == [("link", False)]
        assert (tmp_path / f"bad-{PHONE}-{'dark' if dark else 'light'}.png").stat().st_size > 1000
