"""What runs the course: build, assign, check, grade, export."""
