"""Annotations in the formats that other programs write and read, with a report of what got lost on the way."""
