"""What a diagnosis found: the rates in `interference.json` and the rows in `interference_rows.jsonl`.

People share these files, so their content is untrusted and read through pydantic models.
"""

from .attention import AttentionCalibration, AttentionContrast, AttentionProfile, AttentionShares
from .diagnosis import SCHEMA, Diagnosis, RunMetadata, Tuning
from .files import (
    COUNTERFACTUALS_FILE,
    JSON_FILE,
    PAGE_FILE,
    ROWS_FILE,
    read_diagnosis,
    read_rows,
    write_results,
)
from .gallery import Flip, MediaThumbnail, UnparsableAnswer
from .rates import (
    CURVE_RATES,
    CurvePoint,
    Curves,
    DatasetResult,
    Estimate,
    Grounding,
    PerturbationResult,
    Rate,
    Reliability,
    ReliabilityBin,
    Share,
    bounds,
)
from .rows import (
    COUNTERFACTUAL_RATES,
    HIGHER_IS_BETTER,
    RATES,
    ROUNDING,
    RateName,
    Result,
    ScoredRow,
    is_misaligned,
)


__all__ = [
    "COUNTERFACTUALS_FILE",
    "COUNTERFACTUAL_RATES",
    "CURVE_RATES",
    "HIGHER_IS_BETTER",
    "JSON_FILE",
    "PAGE_FILE",
    "RATES",
    "ROUNDING",
    "ROWS_FILE",
    "SCHEMA",
    "AttentionCalibration",
    "AttentionContrast",
    "AttentionProfile",
    "AttentionShares",
    "CurvePoint",
    "Curves",
    "DatasetResult",
    "Diagnosis",
    "Estimate",
    "Flip",
    "Grounding",
    "MediaThumbnail",
    "PerturbationResult",
    "Rate",
    "RateName",
    "Reliability",
    "ReliabilityBin",
    "Result",
    "RunMetadata",
    "ScoredRow",
    "Share",
    "Tuning",
    "UnparsableAnswer",
    "bounds",
    "is_misaligned",
    "read_diagnosis",
    "read_rows",
    "write_results",
]
