"""Public sets and our simulators as tensorflow-datasets builders; `segjax.data.prepared` reads what they write."""

from segjax.data.builders.base import AnnotatedSet, Card, Entry, PublicSet, Record
from segjax.data.builders.preparing import description, prepare, prepare_files
from segjax.data.builders.simulated import (
    MicroscopeConfig,
    SegjaxGranulocytes,
    SegjaxHl60,
    SegjaxMixed,
    SegjaxTissue,
)

__all__ = [
    "AnnotatedSet",
    "Card",
    "Entry",
    "MicroscopeConfig",
    "PublicSet",
    "Record",
    "SegjaxGranulocytes",
    "SegjaxHl60",
    "SegjaxMixed",
    "SegjaxTissue",
    "description",
    "prepare",
    "prepare_files",
]
