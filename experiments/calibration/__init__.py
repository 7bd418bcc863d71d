"""Are the simulators right? Their pictures beside published numbers, each by a command of its own."""
