"""Are the simulators right? Each command compares the pictures of one with published numbers."""
