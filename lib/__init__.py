"""What the course teaches: one package a part, one module a lesson."""
