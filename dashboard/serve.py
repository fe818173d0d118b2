"""``make dashboard``: publish what asv has stored, and serve it on this machine until Ctrl-C; knows nothing of pages.

Only this machine can reach it (127.0.0.1), on a port that is free. A site on any other server is the same folder.
"""

from __future__ import annotations

import functools
import http.server
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from asv.config import Config
from asv.results import iter_results_paths
from asv.util import UserError


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files, quietly, and never from a browser's cache without asking: a new publish shows at once."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing of each request."""


def publish(config: Config) -> None:
    """Run plain ``asv publish``; UserError with its last words if it fails, or if there is nothing to publish."""
    if next(iter_results_paths(config.results_dir), None) is None:
        raise UserError(f"no results in {config.results_dir} yet: run make bench first")
    done = subprocess.run(
        [sys.executable, "-m", "asv", "publish", "--no-pull"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise UserError(f"asv publish failed: {said[-1] if said else f'it ended with {done.returncode}'}")


def serve(folder: Path) -> None:
    """Serve the folder until interrupted, and print its address."""
    handler = functools.partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        sys.stdout.write(f"Dashboard: http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)\n")
        sys.stdout.flush()
        server.serve_forever()


def _stop(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    """Publish and serve; 0 when interrupted, 1 with one line if there is nothing to show."""
    for stop in (signal.SIGINT, signal.SIGTERM):  # a shell has what it starts in the background ignore the first
        signal.signal(stop, _stop)
    try:
        config = Config.load()
        publish(config)
        serve(Path(config.html_dir))
    except KeyboardInterrupt:
        return 0
    except (UserError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
