"""A real browser: Chromium, headless, driven through chromedriver by the WebDriver protocol."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

import servers
from serving import free_port, wait_for

_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
]


class Window:
    """One window."""

    def __init__(self, ask) -> None:
        self._ask = ask

    def go(self, url: str) -> None:
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str):
        """Runs a function's body in the page; gives what it returns. The page's policy is not for it."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def complaints(self) -> list[str]:
        """What the page complained of since the last time."""
        said = self._ask("POST", "/se/log", {"type": "browser"})
        return [one["message"] for one in said if one["level"] == "SEVERE" and "favicon" not in one["message"]]


@contextlib.contextmanager
def browser():
    """A browser with one window, closed at the end."""
    chromedriver, chromium = servers.find("chromedriver"), servers.find("chromium")
    folder, port = tempfile.mkdtemp(prefix="ioprofiler-chromium-"), free_port()
    env = {**os.environ, "TMPDIR": folder}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    driver = subprocess.Popen([chromedriver, f"--port={port}"], env=env, **quiet)

    def ask(method: str, path: str, body: object = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.read().decode()}") from None

    try:
        wait_for(port, driver)
        wanted = {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": chromium, "args": [*_ARGUMENTS, f"--user-data-dir={folder}/profile"]},
        }
        session = "/session/" + ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        try:
            yield Window(lambda method, path, body=None: ask(method, session + path, body))
        finally:
            ask("DELETE", session)
    finally:
        driver.terminate()
        driver.wait()
        shutil.rmtree(folder, ignore_errors=True)
