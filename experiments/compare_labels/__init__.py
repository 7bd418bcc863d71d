"""Compare two annotations of the same pictures, type their differences, and write them as a recipe of errors.

    python -m experiments.compare_labels 'folder:my_set' 'folder:my_set?annotations=labels_quick' --out compared

The first annotation is believed; the recipe says what has to happen to it to become like the second. Objects belong
together if they share at least half of the pixels of the smaller one. Differences: missing and additional objects,
another outline (intersection over union below 0.9), another class, several objects merged into one, one object split.
"""
