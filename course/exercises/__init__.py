"""Exercises: from the author's source to the learner's notebook, and its check."""
