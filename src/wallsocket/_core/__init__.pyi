from . import framing as framing
from . import kernel as kernel

__version__: str
