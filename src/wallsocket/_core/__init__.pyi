from . import framing as framing
from . import python as python
from . import kernel as kernel

__version__: str
