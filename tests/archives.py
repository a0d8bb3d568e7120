"""Archives that tests make by hand."""
import io
import tarfile

TAR = "application/x-tar"


def tar_of(**files):
    """A tar of regular files, by name and content; the same files give the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), 1_700_000_000
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()
