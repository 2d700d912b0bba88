"""`python -m mess_core VERB`."""

import sys

from mess_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
