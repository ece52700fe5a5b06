"""What a cancelled download leaves behind: parts of files, removed unless somebody is at them."""

from pathlib import Path

from bodhi_asgi.downloads.types import Download
from bodhi_asgi.hub.folder import RepoFolder
from bodhi_asgi.hub.locks import BlobLock


def sweep(cache: Path, download: Download) -> None:
    """Remove the parts of files that are not whole. Blocking."""
    folder = RepoFolder(cache, download.repo)
    for checksum in [file.sha256 for file in download.files if file.sha256 is not None]:
        if not folder.part(checksum).exists():
            continue
        # Another download may want the same file, a projector for example; whoever fetches it holds its lock.
        lock = BlobLock(folder.lock(checksum))
        if lock.take():
            try:
                folder.forget(checksum)
            finally:
                lock.release()
