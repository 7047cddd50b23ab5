"""What only the first chapter reaches."""

from lib.shared import double

VALUE = double(21)
