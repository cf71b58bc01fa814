"""Loads pages in headless Chromium and says what it found there: run by `browser.look`, in a process of its own.

One JSON object on standard input: `pages`, paths; `widths`, in CSS pixels; `dark`; `print`, whether each page is printed; `pictures`, a
folder for a PNG of each whole page, or null. A JSON list of one object per page and width on standard output, the last line.
"""

import json
import os
import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HEIGHT, TALLEST = 800, 12_000  # pixels of a window, and of a picture
PATIENCE = 60_000  # milliseconds until a page has answered
TABS = 80  # times that Tab is pressed at most
SLOW = 50  # times 10 ms, at most, until a key has done what it does

# Words of headings that stand on more than one line, and no hyphen or space is to blame.
BROKEN = """[...document.querySelectorAll('th, caption, h1, h2, h3')].flatMap(cell => {
  const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), broken = [];
  for (let text; (text = walk.nextNode());)
    for (const word of text.data.matchAll(/[^\\s\\u002d\\u2010-\\u2015/.]+/g)) {
      const range = document.createRange();
      range.setStart(text, word.index); range.setEnd(text, word.index + word[0].length);
      if (new Set([...range.getClientRects()].filter(r => r.width > 0).map(r => Math.round(r.top))).size > 1) broken.push(word[0]);
    }
  return broken;
})"""
NAME = "(e => (e.getAttribute('aria-label') || e.textContent).trim().replace(/\\s+/g, ' ').slice(0, 60))"
# What Tab should reach, in the order of the page; what is not shown or lies in closed details, it should not.
FOCUSABLE = f"""[...document.querySelectorAll('a[href], button, summary, input, select, [tabindex="0"]')].filter(
  e => e.checkVisibility({{visibilityProperty: true}}) && !e.disabled).map({NAME})"""
FOCUSED = f"""(e => e === document.body || !e ? null : [{NAME}(e), getComputedStyle(e).outlineStyle !== 'none'])(document.activeElement)"""
AXE = """window.found = null; axe.run(document, {resultTypes: ['violations']}).then(
  r => { window.found = r.violations.flatMap(v => v.nodes.map(n => v.id + ': ' + v.help + ', ' + n.target.join(' '))); },
  e => { window.found = ['axe: ' + e]; }); 0"""


def main() -> None:
    asked = json.load(sys.stdin)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ.setdefault("QT_QUICK_BACKEND", "software")  # pictures need no graphics card
    os.environ["QTWEBENGINE_DISABLE_SANDBOX"] = "1"  # which a container does not allow; the pages are our own
    scheme = 0 if asked["dark"] else 1
    os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = f"--no-sandbox --disable-gpu --blink-settings=preferredColorScheme={scheme}"
    from PyQt6 import QtWebEngineWidgets  # noqa: F401  (before there is an application)
    from PyQt6.QtWidgets import QApplication

    application = QApplication(sys.argv[:1])
    browser = Browser(application)
    views = [browser.view(Path(page), width, asked) for page in asked["pages"] for width in asked["widths"]]
    print(json.dumps(views), flush=True)
    os._exit(0)  # Qt's own end may hang or crash on an offscreen platform, and everything is said


class Browser:
    """A window on one page after the other."""

    def __init__(self, application: Any) -> None:
        from PyQt6.QtWebEngineCore import QWebEnginePage, QWebEngineProfile, QWebEngineSettings, QWebEngineUrlRequestInterceptor
        from PyQt6.QtWebEngineWidgets import QWebEngineView

        self.application, self.console, self.requests = application, list[str](), list[str]()
        console, requests = self.console, self.requests

        class Requests(QWebEngineUrlRequestInterceptor):
            def interceptRequest(self, info: Any) -> None:
                requests.append(info.requestUrl().toString())
                if not info.requestUrl().isLocalFile() and info.requestUrl().scheme() not in ("data", "blob"):
                    info.block(True)

        class Page(QWebEnginePage):
            def javaScriptConsoleMessage(self, level: Any, message: Any, line: int, source: Any) -> None:
                console.append(f"{Path(str(source)).name}:{line}: {message}")

        self.profile, self.interceptor = QWebEngineProfile(), Requests()  # off the record: nothing is kept on disk
        self.profile.setUrlRequestInterceptor(self.interceptor)
        asks = QWebEngineSettings.WebAttribute.LocalContentCanAccessRemoteUrls  # else it is silently kept from asking, and none is seen
        settings = self.profile.settings()
        assert settings is not None
        settings.setAttribute(asks, True)
        self.page, self.window = Page(self.profile), QWebEngineView()
        self.window.setPage(self.page)
        package = find_spec("axe_playwright_python")
        self.axe = Path(str(package and package.origin)).with_name("axe.min.js").read_text(encoding="utf-8")

    def view(self, page: Path, width: int, asked: dict[str, Any]) -> dict[str, Any]:
        """What there is to say of a page in a window so wide."""
        from PyQt6.QtCore import QUrl

        self.console.clear()
        self.requests.clear()
        self.window.resize(width, HEIGHT)
        self.window.show()
        self.window.activateWindow()
        url = QUrl.fromLocalFile(str(page.resolve()))
        loaded = self.wait(lambda done: self.connect_once(self.page.loadFinished, done), lambda: self.page.load(url))
        self.pause(200)
        found = {
            "page": str(page), "width": width, "dark": asked["dark"], "loaded": bool(loaded),
            "overflow": self.js("Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth)"),
            "broken": self.js(BROKEN), "focusable": self.js(FOCUSABLE), "focus": self.tabs(),
            "console": list(self.console),
            "requests": [request for request in self.requests if not request.startswith("data:") and QUrl(request) != url],
        }  # fmt: skip
        self.js(self.axe + "\n;0")
        self.js(AXE)
        found["violations"] = self.poll("window.found")
        if asked["print"]:
            content = bytes(self.wait(lambda done: self.page.printToPdf(done)))
            found["printed"] = len(re.findall(rb"/Type\s*/Page\b(?!s)", content))
        if asked["pictures"]:
            name = f"{page.stem}-{width}-{'dark' if asked['dark'] else 'light'}.png"
            self.picture().save(str(Path(asked["pictures"]) / name))
        return found

    def picture(self) -> Any:
        """The whole page, screen by screen."""
        from PyQt6.QtGui import QPainter, QPixmap

        height = min(int(self.js("document.documentElement.scrollHeight")), TALLEST)
        whole = QPixmap(self.window.width(), height)
        painter, top = QPainter(whole), 0
        while top < height:
            self.js(f"scrollTo(0, {top}); 0")
            self.pause(300)
            painter.drawPixmap(0, int(self.js("scrollY")), self.window.grab())
            top += self.window.height()
        painter.end()
        return whole

    def tabs(self) -> list[Any]:
        """What the keyboard reaches one after the other: name, and whether it is seen that it is there."""
        from PyQt6.QtCore import QEvent, Qt
        from PyQt6.QtGui import QKeyEvent

        self.window.setFocus()
        self.js("window.before = document.activeElement; 0")
        reached = []
        for _ in range(TABS):
            for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
                event = QKeyEvent(kind, Qt.Key.Key_Tab, Qt.KeyboardModifier.NoModifier)
                self.application.sendEvent(self.window.focusProxy(), event)
            for _ in range(SLOW):
                if self.js("document.activeElement !== window.before"):
                    break
                self.pause(10)
            now = self.js(f"window.before = document.activeElement; {FOCUSED}")
            if now is None:
                break
            reached.append(now)
        self.js("document.activeElement.blur(); scrollTo(0, 0); 0")
        return reached

    def js(self, code: str) -> Any:
        return self.wait(lambda done: self.page.runJavaScript(code, done))

    def poll(self, code: str) -> Any:
        for _ in range(PATIENCE // 50):
            if (value := self.js(code)) is not None:
                return value
            self.pause(50)
        raise TimeoutError(code)

    def pause(self, milliseconds: int) -> None:
        from PyQt6.QtCore import QEventLoop, QTimer

        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    def wait(self, ask: Callable[[Callable[[Any], None]], Any], start: Callable[[], Any] | None = None) -> Any:
        """What is answered to `ask`, which is given a function to call."""
        from PyQt6.QtCore import QEventLoop, QTimer

        loop, answers = QEventLoop(), []
        ask(lambda value: (answers.append(value), loop.quit()))
        if start is not None:
            start()
        QTimer.singleShot(PATIENCE, loop.quit)
        if not answers:
            loop.exec()
        if not answers:
            raise TimeoutError("the browser did not answer")
        return answers[0]

    def connect_once(self, signal: Any, done: Callable[[Any], None]) -> None:
        from PyQt6.QtCore import Qt

        signal.connect(done, Qt.ConnectionType.SingleShotConnection)


if __name__ == "__main__":
    main()
