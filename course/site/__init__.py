"""The static website: execution, cache, and the Sphinx extension behind it."""
