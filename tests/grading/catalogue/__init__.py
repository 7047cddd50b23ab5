"""What learners may hand in, row by row, and what is demanded of each.

`row` says what a row is and what lesson it answers; `answers`, `reach` and `files` hold
the rows; `batch` hands all of them in to one class and has the judge grade it; `stock`
has plain nbgrader grade what it can of them, for the instructor guide.
"""
