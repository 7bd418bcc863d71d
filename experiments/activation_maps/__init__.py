"""Study 4A: what do classifiers of whole pictures look at, and where do their activation maps end?

    python -m experiments.activation_maps --scale demo --out runs/maps
    python -m experiments.activation_maps --data "folder:mine?image_labels=sites.csv" --label site --out runs/own

After S. Vadineanu, Deep learning solutions for domain-specific image segmentation (Leiden, 2025), chapter 5.
Classifiers learn from "site" or "no site" per picture. Their activation maps are compared as explanations and, where
outlines are known, as outlines; parts of the sites are taken away to see what the decision rests on.
"""
