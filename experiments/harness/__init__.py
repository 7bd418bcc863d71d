"""How any study runs; knows no study."""
