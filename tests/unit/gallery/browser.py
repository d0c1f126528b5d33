"""A browser without a window, spoken to by the DevTools protocol through pipes: chromium alone is needed."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe"),
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")


class Browser:
    """One page of a new chromium, of a profile of its own; what the page's script throws is collected in `errors`."""

    def __init__(self, profile: Path) -> None:
        there, back = os.pipe(), os.pipe()
        command = [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        # the browser reads commands from descriptor 3 and writes answers to 4
        shell = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, str(there[0]), str(back[1]), *command],
            pass_fds=(there[0], back[1]),
            stderr=subprocess.DEVNULL,
        )
        os.close(there[0])
        os.close(back[1])
        self.commands, self.answers = os.fdopen(there[1], "wb"), os.fdopen(back[0], "rb")
        self.count, self.pending, self.session, self.errors = 0, b"", None, []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime"):
            self.send(f"{domain}.enable")

    def send(self, method, **parameters):
        """The result of a command."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while True:
            answer = self._read()
            if answer.get("method") == "Runtime.exceptionThrown":
                self.errors.append(answer["params"]["exceptionDetails"])
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]

    def _read(self):
        while b"\0" not in self.pending:
            part = os.read(self.answers.fileno(), 1 << 20)
            assert part, "the browser ended"
            self.pending += part
        message, self.pending = self.pending.split(b"\0", 1)
        return json.loads(message)

    def size(self, width, height, dark=False):
        """Width and height of the window in pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def open(self, path, fragment="", ready="document.readyState === 'complete'"):
        """Open a file, and wait until an expression about it is true."""
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=path.resolve().as_uri() + fragment)
        self.until(ready)

    def until(self, expression):
        """Wait until an expression is true, in the browser's own frames, so that nothing depends on a time."""
        frames = "new Promise(done => setTimeout(done, 10))"
        for _ in range(3000):
            if self.value(f"Boolean({expression})"):
                return
            self.value(frames)
        raise AssertionError(f"this did not become true: {expression}; {self.errors}")

    def value(self, expression):
        """The value of an expression of JavaScript, awaited."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key):
        """Press and release a key."""
        text = {"text": "\r"} if key == "Enter" else {}
        code = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        more = {"key": key, "windowsVirtualKeyCode": code.get(key, ord(key[0]))}
        if len(key) == 1:
            text = {"text": key}
        self.send("Input.dispatchKeyEvent", type="keyDown", **more, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **more)

    def picture(self, path):
        """Write what the window shows as a PNG file."""
        Path(path).write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        """End the browser."""
        self.session = None
        self.commands.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.answers.close()
