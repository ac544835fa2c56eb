from . import framing as framing

__version__: str
