"""Grading: from what learners hand in to points, feedback and a table of grades."""
