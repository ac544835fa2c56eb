from . import framing as framing
from . import segments as segments

__version__: str
