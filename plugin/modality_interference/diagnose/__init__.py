"""Diagnosis: scores per perturbation, reports, attention."""
