from . import arrow as arrow
from . import framing as framing
from . import kernel as kernel
from . import lab as lab
from . import python as python
from . import recording as recording
from . import segments as segments
from . import sys as sys
from . import trace as trace
from . import wire as wire

__version__: str
