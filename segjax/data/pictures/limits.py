"""How much memory the content of a file may take, known before it is decoded."""

from math import prod

from segjax.types import InputError

_ALWAYS, _PACKED, _AT_MOST = 2**28, 100, 2**34
_LEAST = 4  # bytes of a value: pictures become float32, labels int32


def largest_content(stored: int) -> int:
    """Bytes that a file of so many bytes may become: 256 MiB, or a hundred times its own size, and at most 16 GiB."""
    return min(max(_ALWAYS, _PACKED * stored), _AT_MOST)


def check_decoded(shape: tuple[int, ...], bits: int, stored: int) -> None:
    """Refuse a picture that would fill the memory, such as one that a small file was made to promise.

    Args:
        shape: of its values: height, width and channels.
        bits: per value.
        stored: bytes of its file.

    Raises:
        InputError: without the file's name, which `segjax.data.pictures.decoders.named` puts before it.
    """
    need, limit = prod(shape) * max(_LEAST, bits // 8), largest_content(stored)
    if need > limit:
        raise InputError(
            f"{' x '.join(map(str, shape))} values take {need / 2**20:,.0f} MiB of memory; a file of "
            f"{stored / 2**20:,.1f} MiB may take {limit / 2**20:,.0f} MiB; cut the picture into tiles, or, if it is "
            "what it should be, save it without compression"
        )
