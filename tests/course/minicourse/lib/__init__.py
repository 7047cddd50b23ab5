"""Reference code of the small course."""
