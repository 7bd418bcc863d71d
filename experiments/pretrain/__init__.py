"""Make the trained weights that come with the package, score them on held-out pictures, and write their cards.

Run `python -m experiments.pretrain --help`; `recipes` says what each is made of, `train` trains and scores, `write`
makes the files.
"""
