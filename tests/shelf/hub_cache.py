"""Writes the cache as huggingface_hub lays it out: blobs by hash, snapshots of links, and refs."""

import hashlib
from pathlib import Path

OLD, NEW = "1" * 40, "2" * 40


class HubCache:
    """A cache in a folder; ``add`` is what a download leaves behind."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def repo(self, repo: str) -> Path:
        return self.path / f"models--{repo.replace('/', '--')}"

    def add(self, repo: str, filename: str, content: bytes = b"GGUF", *, snapshot: str = NEW, ref: str = "") -> Path:
        """Put a file there, and say that ``ref`` means its snapshot. The path of its link."""
        blob = self.repo(repo) / "blobs" / hashlib.sha256(content).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link = self.repo(repo) / "snapshots" / snapshot / filename
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(Path(*[".."] * (filename.count("/") + 2), "blobs", blob.name))
        if ref:
            self.refer(repo, ref, snapshot)
        return link

    def refer(self, repo: str, ref: str, snapshot: str) -> None:
        path = self.repo(repo) / "refs" / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(snapshot)

    def blobs(self, repo: str) -> int:
        return len(list((self.repo(repo) / "blobs").iterdir()))
