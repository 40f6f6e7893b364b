"""What becomes the component; ``meter.py`` knows nothing of it, so that it can be tested in any Python."""

from meter import DEFINITION
from tollkeeper_meter.component import exports_of

Meter, Describe = exports_of(DEFINITION)
