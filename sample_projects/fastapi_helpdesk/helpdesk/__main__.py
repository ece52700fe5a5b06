"""``python -m helpdesk`` serves the helpdesk on this machine, for this machine."""

import argparse

import uvicorn


def main() -> None:
    parser = argparse.ArgumentParser(prog="helpdesk", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    uvicorn.run("helpdesk.app:create_app", factory=True, port=port, timeout_graceful_shutdown=5)


if __name__ == "__main__":
    main()
