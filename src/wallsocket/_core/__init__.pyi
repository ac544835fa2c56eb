from . import framing as framing
from . import lab as lab

__version__: str
