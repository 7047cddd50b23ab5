"""A small book for the tests of the site."""
