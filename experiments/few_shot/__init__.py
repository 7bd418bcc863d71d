"""Study 3: how few annotated pictures of a new cell type are enough?

    python -m experiments.few_shot --scale demo --out runs/few_shot
    python -m experiments.few_shot --data "folder:my_pictures?tile=128" --scale reduced --out runs/mine

Extractors are trained on types with many labels. A head then learns a new type from their feature maps of a few
annotated pictures. After Vădineanu, Pelt, Dzyubachyk and Batenburg, "From Feature Maps to Few-Shot Cell
Segmentation", MOVI (2024). Every type is the new one once.
"""
