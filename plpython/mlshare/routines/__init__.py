"""One function for each SQL routine, of the same name and parameters. Nothing heavy is imported here."""

from __future__ import annotations

from mlshare.environment import check as check_environment
from mlshare.routines.compile import ml_model_compile
from mlshare.routines.internal import _as_owner, _create_key, _in_snapshot
from mlshare.routines.models import (
    _cached_models,
    ml_create_or_upgrade_catalog,
    ml_model_active,
    ml_model_drop,
    ml_model_load,
    ml_model_unload,
)
from mlshare.routines.partitions import (
    ml_model_add_partition,
    ml_model_drop_partition,
    ml_model_refresh_partitions,
)
from mlshare.routines.predict import (
    _predict_row,
    _scored,
    _scored_values,
    ml_predict,
    ml_predict_row,
    ml_predict_table,
    ml_score,
)
from mlshare.routines.sharing import _model_privileges, ml_model_grant, ml_model_revoke
from mlshare.routines.train import ml_train
from mlshare.routines.transfer import ml_model_export, ml_model_import

__all__ = [
    "_as_owner",
    "_cached_models",
    "_create_key",
    "_in_snapshot",
    "_model_privileges",
    "_predict_row",
    "_scored",
    "_scored_values",
    "check_environment",
    "ml_create_or_upgrade_catalog",
    "ml_model_active",
    "ml_model_add_partition",
    "ml_model_compile",
    "ml_model_drop",
    "ml_model_drop_partition",
    "ml_model_export",
    "ml_model_grant",
    "ml_model_import",
    "ml_model_load",
    "ml_model_refresh_partitions",
    "ml_model_revoke",
    "ml_model_unload",
    "ml_predict",
    "ml_predict_row",
    "ml_predict_table",
    "ml_score",
    "ml_train",
]
