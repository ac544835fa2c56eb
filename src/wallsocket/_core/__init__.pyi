from . import framing as framing
from . import python as python
from . import kernel as kernel
from . import segments as segments
from . import lab as lab

__version__: str
