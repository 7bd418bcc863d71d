"""Public sets and our simulators as tensorflow-datasets builders; `segjax.data.prepared` reads what they write."""

from segjax.data.builders.array_sets import Conic, PanNuke
from segjax.data.builders.base import AnnotatedSet, Card, Entry, PublicSet, Record
from segjax.data.builders.livecell import LiveCell
from segjax.data.builders.mask_sets import Dsb2018, NuInsSeg, Tnbc
from segjax.data.builders.mat_sets import ConSep, Lizard
from segjax.data.builders.monusac import Monusac
from segjax.data.builders.pets import OxfordPets
from segjax.data.builders.preparing import description, prepare, prepare_files
from segjax.data.builders.simulated import (
    MicroscopeConfig,
    SegjaxGranulocytes,
    SegjaxHl60,
    SegjaxMixed,
    SegjaxTissue,
)
from segjax.data.builders.volumes import CbiaGranulocytes, CbiaHl60, EpflMitochondria, LucchiPlusPlus

PUBLIC_SETS: dict[str, type[PublicSet]] = {
    kind.name: kind
    for kind in (
        CbiaHl60,
        CbiaGranulocytes,
        Monusac,
        Lizard,
        Conic,
        EpflMitochondria,
        LucchiPlusPlus,
        PanNuke,
        ConSep,
        NuInsSeg,
        Dsb2018,
        LiveCell,
        Tnbc,
        OxfordPets,
    )
}

__all__ = [
    "PUBLIC_SETS",
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
