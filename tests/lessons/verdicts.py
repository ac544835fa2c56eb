"""The verdict on each claim as it was measured before the lessons were written, on Linux 6.18.

Written apart from the lessons on purpose: a lesson that changes its mind fails here.
"""

from __future__ import annotations

__all__ = ["MEASURED"]

_BY_VERDICT = {
    "true": """
        R03 R04 R05 S01 S07 A04 A05 A06 L00 L01 L02 L03 L04 U01 U03 U04 U07 U12 U13 U15 U16 U19 U21 U23 U27
        U31 U32 U33 U36 U38 U39 U40 U41 U42 U43 U47 U48 U49 U50 U51 U54 U55 U56 T01 T02 T04 T05 T09 T11 T12
        T14 T16 T20 T23 T24 T25 T28 T29 T34 T36 T39 T40 T42 T44 T48 T49 T50 T53 T54 T55 T79 T59 T64 T65 T66
        T67 T80 T68 T69 T70 T71 T72 T73 T77 W01 W03 W04 W05 W08 W16 W19 W24 E03 E05
        E08
    """,
    "true if": """
        R01 R02 S02 S03 S05 S06 A01 A02 A03 A07 A08 U02 U05 U06 U08 U09 U10 U11 U14 U17 U18 U20 U22 U24 U28
        U29 U30 U35 U37 U44 U46 U52 T03 T06 T07 T10 T13 T15 T17 T19 T21 T26 T27 T30 T32 T33 T37 T38 T41 T43
        T45 T46 T47 T51 T52 T56 T58 T61 T62 T63 T75 T76 T78 W06 W07 W10 W11 W13 W14 W17 W22 W23 W26 W28 W29
        W32 W33 W34 W36 W37 W38 W39 E01 E02 E04 E06 E07
    """,
    "outdated": """
        U25 T22 W09 W31
    """,
    "wrong": """
        U34 U53 T08 T18 T31 T35 T60 T74 W02 W18 W21
    """,
    "code bug": """
        U26 U45 U57 T57 W12 W15 W20 W25 W27 W30
    """,
    "not measured": """
        S04 W35
    """,
}

#: Claim -> verdict.
MEASURED = {name: verdict for verdict, names in _BY_VERDICT.items() for name in names.split()}
