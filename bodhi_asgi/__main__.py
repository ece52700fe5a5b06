"""``bodhi`` and ``python -m bodhi_asgi``: the command line, or one sentence about what it needs."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        from bodhi_asgi.cli.app import bodhi
    except ModuleNotFoundError as missing:
        if missing.name not in {"click", "rich"}:
            raise
        sys.exit("The command line needs an optional dependency: pip install 'bodhi-asgi[cli]'")
    bodhi()


if __name__ == "__main__":
    main()
