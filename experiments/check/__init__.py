"""Check pictures and labels before training: list everything that is wrong, and write a page about them.

Run `python -m experiments.check --help`; `command` prints, `findings` puts together what is found, `survey` measures
each picture, `suspicions` looks for shifted labels, nearly equal pictures and leaks, `suggestions` gives options,
`uses` asks the studies, `card` writes the page.
"""
