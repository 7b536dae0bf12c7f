"""Budgets in tests: how many calls a piece of code may make."""

from __future__ import annotations

from ioprofiler import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from ioprofiler._profiler import Profiler

_profiler: Profiler | None = None


def _of_tests() -> Profiler:
    """One profiler for all recordings of a process."""
    global _profiler
    if _profiler is None:
        from ioprofiler._profiler import Profiler

        class ProfilerOfTests(Profiler):
            _is_main = False

        _profiler = ProfilerOfTests(gate=(), max_spans=100_000, max_detail_bytes=64 << 20)
    return _profiler


class Recording:
    """What the code inside `with record() as profile:` does; readable inside and afterwards."""

    def __init__(self, name: str, profiler: Profiler | None) -> None:
        self._request = (profiler or _of_tests()).job(name, asked=True)
        self._entered = self._request.enter()
        self._profile: _native.Profile | None = None

    def __enter__(self) -> Recording:
        self._entered.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.__exit__(kind, error, trace)
        if error is not None:
            self._request.set_error(f"{type(error).__name__}: {error}")
        self._profile = self._request.finish()

    @property
    def profile(self) -> _native.Profile:
        """The profile: of all that was done, or inside the `with` of what was done so far."""
        return self._profile if self._profile is not None else self._request.snapshot()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.profile, name)

    def calls_of(self, category: str) -> int:
        """How many calls of a category there were."""
        return self.profile.calls.get(category, 0)

    def assert_calls(
        self,
        category: str | None = None,
        expected: int | None = None,
        *,
        max: int | None = None,
        min: int | None = None,
    ) -> None:
        """Fails with the text table where the number of calls is another than allowed.

        Of one category, or of all. `expected` is the exact number.
        """
        __tracebackhide__ = True
        if expected is None and max is None and min is None:
            raise TypeError("assert_calls() needs a number: expected, max or min")
        profile = self.profile
        calls = profile.calls
        found = sum(calls.values()) if category is None else calls.get(category, 0)
        what = "calls" if category is None else f"calls of {category}"
        wanted = [
            (expected is not None and found != expected, f"exactly {expected}"),
            (max is not None and found > max, f"at most {max}"),
            (min is not None and found < min, f"at least {min}"),
        ]
        for wrong, allowed in wanted:
            if wrong:
                raise AssertionError(f"{found} {what}, allowed: {allowed}\n\n{profile.text()}")


def record(name: str = "test", *, profiler: Profiler | None = None) -> Recording:
    """Records the calls of a piece of code, as a job of its own.

        with ioprofiler.record() as profile:
            client.get("/listing/5")
        profile.assert_calls("dbshard01", max=5)

    What hooked libraries do inside counts, and `span()`. A web request that is made inside is one of
    its own only where it runs in another thread or context.
    """
    return Recording(name, profiler)
