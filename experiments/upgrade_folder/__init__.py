"""Repair the noisy labels of a folder with a network that learns from its clean ones.

Run `python -m experiments.upgrade_folder --help`; `config` says what can be chosen, `pictures` reads the folder,
`repair` trains and upgrades, `held_out` measures whether it pays, `report` writes the list of changes and the page.
"""
