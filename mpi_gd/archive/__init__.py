"""Arrays and one JSON document in a .npz file whose bytes depend on its content alone.

The file is an ordinary uncompressed zip: `numpy.load` opens it, `unzip -p FILE metadata.json`
prints the document. Names are sorted, times and attributes fixed, array data begin at multiples of
64 bytes, and the zip comment, the file's last 71 bytes, is `sha256:` and the digest of all bytes
before the digest. So one comparison notices any cut, addition or flipped byte, before anything is
interpreted. The digest guards against accidents; the checks behind it make a hostile file harmless
as well: nothing is unpickled, decompressed or extracted, and no size is believed that the file's
own does not cover.
"""

from mpi_gd.archive.layout import ArchiveError
from mpi_gd.archive.read import unpack
from mpi_gd.archive.write import pack, pack_into

__all__ = ["ArchiveError", "pack", "pack_into", "unpack"]
