from . import framing as framing
from . import kernel as kernel
from . import python as python

__version__: str
