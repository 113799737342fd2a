"""`python -m benchmarks.tracing OUTPUT manage.py serve …`: records which functions the server runs.

OUTPUT gets a line for each function of `chat/` and `tokens/` that starts or resumes (time, file,
function), and for each write to a socket (time, port of the peer). Times are nanoseconds of the
monotonic clock, which all processes share.
"""

import os
import runpy
import sys
import time
from pathlib import Path
from types import CodeType
from typing import Any, Final

ROOT: Final = Path.cwd()
TRACED: Final = (f"{ROOT}/chat/", f"{ROOT}/tokens/")
WRITES: Final = {"write", "writelines"}


def main(output: str, script: str) -> None:
    descriptor = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    monitoring = sys.monitoring
    events = monitoring.events

    def note(*words: object) -> None:
        os.write(descriptor, " ".join(map(str, (time.perf_counter_ns(), *words, "\n"))).encode())

    def runs(code: CodeType, offset: int) -> Any:
        if not code.co_filename.startswith(TRACED):
            return monitoring.DISABLE
        note(Path(code.co_filename).relative_to(ROOT), code.co_qualname)
        return None

    def calls(code: CodeType, offset: int, function: Any, first: Any) -> None:
        if getattr(function, "__name__", "") not in WRITES:
            return
        transport = getattr(function, "__self__", first)
        if hasattr(transport, "get_extra_info"):
            note(transport.get_extra_info("peername")[1])

    monitoring.use_tool_id(monitoring.PROFILER_ID, "chat")
    monitoring.register_callback(monitoring.PROFILER_ID, events.PY_START, runs)
    monitoring.register_callback(monitoring.PROFILER_ID, events.PY_RESUME, runs)
    monitoring.register_callback(monitoring.PROFILER_ID, events.CALL, calls)
    wanted = events.PY_START | events.PY_RESUME | events.CALL
    monitoring.set_events(monitoring.PROFILER_ID, wanted)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    _, output, *sys.argv = sys.argv
    main(output, sys.argv[0])
