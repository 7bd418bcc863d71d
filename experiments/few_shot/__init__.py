"""Study 3: how few annotated pictures of a new cell type are enough.

Extractors are trained on types with plenty of labels; their feature maps of a few annotated pictures of a new type are
recombined by a head. After Vădineanu, Pelt, Dzyubachyk and Batenburg, "From Feature Maps to Few-Shot Cell
Segmentation", MOVI (2024). Every type is the new one once.

`config.py` the options, `grid.py` the cells, `pictures.py` pictures with types, `extractors.py` the trainings,
`study.py` the measuring, `findings.py` numbers from results, `answers.py` and `report.py` the page, `results.py` the
tables that are committed.
"""
