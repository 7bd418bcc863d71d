"""Segment a new type of cell in many pictures after it was annotated in a few.

Run `python -m experiments.segment_new_type --help`; `config` says what can be chosen, `pictures` reads the shots and
the pictures to segment, `segment` learns, holds shots out and segments, `measures` puts it in numbers, `report` makes
the page.
"""
