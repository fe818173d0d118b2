"""Serve the published pages until Ctrl-C: ``python -m dashboard.serve``; knows no page and publishes nothing.

``--check`` only says whether it could. What a browser asks for is written to .asv/requests.log.
"""

from __future__ import annotations

import argparse
import errno
import functools
import http.server
import socket
import sys
from pathlib import Path
from typing import Any

FOLDER, LOG = Path(".asv/html"), Path(".asv/requests.log")
EVERY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104 they are asked for by name

WORDS = {
    errno.EADDRINUSE: "PORT={port} is in use on {host}: choose another, or none for any that is free",
    errno.EACCES: "PORT={port} needs more rights: choose one above 1023, or none for any that is free",
}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Sends files, and writes its log into one."""

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 the name that it has there
        """Write a line to the log."""
        with LOG.open("a", encoding="utf-8") as log:
            log.write(f"{self.log_date_time_string()} {self.client_address[0]} {format % arguments}\n")


class Server(http.server.ThreadingHTTPServer):
    """A browser that goes away in the middle is no error."""

    def handle_error(self, _request: object, client_address: Any) -> None:
        """Write a line to the log instead of a traceback."""
        with LOG.open("a", encoding="utf-8") as log:
            log.write(f"{client_address[0]}: {sys.exc_info()[1]!r}\n")


def bound(host: str, port: str) -> Server:
    """Return a server that has its port; ``ValueError`` in one line if it cannot get it."""
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"PORT={port} is no port: a whole number from 0, which is any free one, to 65535")
    try:
        if not host:
            raise OSError("a host that is empty")
        family, *_, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        made = type("ServerOfFamily", (Server,), {"address_family": family})
        server: Server = made(address[:2], functools.partial(Handler, directory=str(FOLDER)))
    except OSError as error:  # a name that is not known is one as well
        words = WORDS.get(error.errno or 0, "HOST={host} is no address of this machine")
        raise ValueError(words.format(host=host, port=port)) from None
    return server


def address_of(server: Server, host: str) -> str:
    """Return the address for a browser, and who else can reach it."""
    if host in EVERY_ADDRESS:
        return f"http://{socket.gethostname()}:{server.server_port}/ and every other address of this machine"
    return f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/"


def main(arguments: list[str]) -> int:
    """Serve until Ctrl-C; 1 and one line if that is not possible."""
    parser = argparse.ArgumentParser(prog="python -m dashboard.serve", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default="0")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    try:
        server = bound(options.host, options.port)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    with server:
        if options.check:
            return 0
        sys.stdout.write(f"The pages are at {address_of(server, options.host)} until Ctrl-C.\n")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.stdout.write("\nstopped\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
