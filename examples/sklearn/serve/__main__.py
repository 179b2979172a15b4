"""`serve`: listens on this machine only. `--once` answers one request and ends, for tests."""

import argparse

from werkzeug.serving import make_server

from serve import __doc__ as about
from serve import application


def main() -> None:
    parser = argparse.ArgumentParser(prog="serve", description=about)
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--once", action="store_true", help="answer one request, then end")
    arguments = parser.parse_args()

    server = make_server("127.0.0.1", arguments.port, application(), threaded=not arguments.once)
    print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
    try:
        if arguments.once:
            server.handle_request()
        else:
            server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
