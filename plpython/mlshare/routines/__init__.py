"""One function for each SQL routine, of the same name and parameters. Nothing heavy is imported here."""

from __future__ import annotations

from mlshare.environment import check as check_environment
from mlshare.routines.compile import ml_model_compile
from mlshare.routines.dictionary import (
    _mining_model_attributes,
    _mining_model_partitions,
    _mining_model_settings,
    _mining_model_views,
    _mining_models,
    model_alerts,
    model_coefficients,
    model_global_statistics,
    model_importances,
    model_settings,
)
from mlshare.routines.internal import _as_owner, _create_key, _in_snapshot
from mlshare.routines.mining import (
    add_partition,
    apply,
    create_model,
    create_model2,
    drop_model,
    drop_partition,
    export_sermodel,
    import_sermodel,
    rename_model,
)
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
from mlshare.routines.scoring_functions import (
    ora_dm_partition_name,
    prediction,
    prediction_bounds,
    prediction_details,
    prediction_number,
    prediction_probability,
    prediction_set,
)
from mlshare.routines.shares import (
    create_share_link_view,
    create_share_provider,
    discover_available_shares,
    discover_available_tables,
    drop_share_link_view,
    refresh_share_link_view,
    set_share_provider_credential,
)
from mlshare.routines.sharing import _model_privileges, ml_model_grant, ml_model_revoke
from mlshare.routines.train import ml_train
from mlshare.routines.transfer import ml_model_export, ml_model_import

__all__ = [
    "_as_owner",
    "_cached_models",
    "_create_key",
    "_in_snapshot",
    "_mining_model_attributes",
    "_mining_model_partitions",
    "_mining_model_settings",
    "_mining_model_views",
    "_mining_models",
    "_model_privileges",
    "_predict_row",
    "_scored",
    "_scored_values",
    "add_partition",
    "apply",
    "check_environment",
    "create_model",
    "create_model2",
    "create_share_link_view",
    "create_share_provider",
    "discover_available_shares",
    "discover_available_tables",
    "drop_model",
    "drop_partition",
    "drop_share_link_view",
    "export_sermodel",
    "import_sermodel",
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
    "model_alerts",
    "model_coefficients",
    "model_global_statistics",
    "model_importances",
    "model_settings",
    "ora_dm_partition_name",
    "prediction",
    "prediction_bounds",
    "prediction_details",
    "prediction_number",
    "prediction_probability",
    "prediction_set",
    "refresh_share_link_view",
    "rename_model",
    "set_share_provider_credential",
]
