from . import framing as framing
from . import python as python

__version__: str
