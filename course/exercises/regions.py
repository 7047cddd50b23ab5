"""What of a source learners do not get: the lines between two markers."""

# In two pieces: a release looks for whole markers in every file that it gives away.
SOLUTION, HIDDEN = (
    (f"### BEGIN {what}", f"### END {what}") for what in ("SOLUTION", "HIDDEN TESTS")
)


def region(source: str, markers: tuple[str, str]) -> set[int]:
    """The numbers of the lines, from 0, in regions between `markers`."""
    begin, end = markers
    inside, lines = False, set()
    for number, line in enumerate(source.split("\n")):
        inside = inside or line.strip() == begin
        if inside:
            lines.add(number)
        inside = inside and line.strip() != end
    return lines
