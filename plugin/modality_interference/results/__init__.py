"""What a diagnosis found: the rates in `interference.json` and the rows in `interference_rows.jsonl`.

People share both files, so their content is untrusted and read through pydantic models.
"""

from .attention import AttentionContrast, AttentionProfile, AttentionShares
from .diagnosis import SCHEMA, Diagnosis, RunMetadata, Tuning
from .files import JSON_FILE, PAGE_FILE, ROWS_FILE, read_diagnosis, read_rows, write_results
from .gallery import Flip, MediaThumbnail, UnparsableAnswer
from .rates import CURVE_RATES, CurvePoint, Curves, DatasetResult, Estimate, PerturbationResult, Rate, Share
from .rows import RATES, ROUNDING, RateName, Result, ScoredRow, is_misaligned


__all__ = [
    "CURVE_RATES",
    "JSON_FILE",
    "PAGE_FILE",
    "RATES",
    "ROUNDING",
    "ROWS_FILE",
    "SCHEMA",
    "AttentionContrast",
    "AttentionProfile",
    "AttentionShares",
    "CurvePoint",
    "Curves",
    "DatasetResult",
    "Diagnosis",
    "Estimate",
    "Flip",
    "MediaThumbnail",
    "PerturbationResult",
    "Rate",
    "RateName",
    "Result",
    "RunMetadata",
    "ScoredRow",
    "Share",
    "Tuning",
    "UnparsableAnswer",
    "is_misaligned",
    "read_diagnosis",
    "read_rows",
    "write_results",
]
