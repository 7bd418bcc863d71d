"""Study 4B: can activation maps replace outlines, and how many outlines are they worth?

    python -m experiments.site_segmentation --scale demo --out runs/sites
    python -m experiments.site_segmentation --data "folder:mine?image_labels=sites.csv" --label site --out runs/own

After S. Vadineanu, Deep learning solutions for domain-specific image segmentation (Leiden, 2025), chapter 5. A
classifier learns from "site" or "no site" per picture; its activation maps become masks, which train a segmentation
network. It is compared with networks that learn from outlines of few sites, from a point or a box per site, and from
all outlines.
"""
