"""Graft's engine: photos in, a fine-tuned network out. Knows nothing of web pages.

Importing ``core`` costs nothing; ``torch`` is imported only by the rooms that compute with it
(``core.models.build``, ``core.training``, ``core.inference``).
"""

__version__ = "0.1.0"
