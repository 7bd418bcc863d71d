"""Study 1: what do omitted, wrongly included and biased annotations cost U-Net, SegNet and MSD networks?

    python -m experiments.annotation_errors --scale demo --out runs/demo
    python -m experiments.annotation_errors --data folder:my_pictures?tile=256 --out runs/mine

After Vadineanu et al., "An Analysis of the Impact of Annotation Errors on the Accuracy of Deep Learning for Cell
Segmentation", MIDL 2022. Labels for training and validation have the error, labels for testing are clean.
"""
