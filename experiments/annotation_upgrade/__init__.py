"""Study 2: can a network repair cheap annotations, and does it pay?

    python -m experiments.annotation_upgrade --scale demo --out runs/upgrade
    python -m experiments.annotation_upgrade --data folder:my_pictures?tile=256 --error omission=0.5 --out runs/mine

After Vadineanu et al., "Reducing Manual Annotation Costs for Cell Segmentation by Upgrading Low-Quality Annotations",
Journal of Imaging 10 (2024) 172. A few pictures have clean labels. An upgrade network learns from them to repair noisy
labels. A segmentation network is then trained on many repaired labels.
"""
