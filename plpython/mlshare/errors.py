"""Every error mlshare raises: one class, one SQLSTATE, the docstring is the message.

Inside a backend the classes derive from plpy.Error, which carries sqlstate, detail and hint to the
client; outside (the training process, unit tests) they are plain exceptions.
"""

from __future__ import annotations

from typing import Any

try:
    from plpy import Error as _Base  # type: ignore[import-not-found]
except ModuleNotFoundError:
    _Base = Exception


class MlshareError(_Base):  # type: ignore[misc]
    """mlshare failed"""

    sqlstate = "ML000"
    default_hint: str | None = None

    def __init_subclass__(cls) -> None:
        # PL/Python puts module and class before the message, but no module for builtins: "ERROR: mlshare: …".
        cls.__module__, cls.__name__ = "builtins", "mlshare"

    def __init__(self, *, detail: str | None = None, hint: str | None = None, **fields: Any) -> None:
        self.message = (type(self).__doc__ or "").split("\n\n")[0].strip().format(**fields)
        super().__init__(self.message)
        self.detail = detail
        self.hint = hint or self.default_hint
        self.fields = fields


def derive_from_plpy() -> None:
    """Gives all classes the true plpy.Error as base if they were made before PL/Python was there (see preload)."""
    import plpy

    if not issubclass(MlshareError, plpy.Error):
        MlshareError.__bases__ = (plpy.Error,)


# --- the call itself -----------------------------------------------------------------------------


class UnknownOption(MlshareError):
    """unknown option "{option}" """

    sqlstate = "ML001"


class InvalidOptionValue(MlshareError):
    """invalid value for option "{option}": {reason}"""

    sqlstate = "ML002"


class ConflictingOptions(MlshareError):
    """options "{first}" and "{second}" cannot be used together"""

    sqlstate = "ML003"


class UnknownSetting(MlshareError):
    """setting "{setting}" cannot be used: {reason}"""

    sqlstate = "ML007"


class InvalidSettingValue(MlshareError):
    """invalid value for setting "{setting}": {reason}"""

    sqlstate = "ML008"


class InvalidArgument(MlshareError):
    """invalid argument {argument}: {reason}"""

    sqlstate = "22023"


class EncodingNotSupported(MlshareError):
    """names and strings outside ASCII need a database in UTF8, this one is in {encoding}"""

    sqlstate = "0A000"
    default_hint = "Create a database WITH ENCODING 'UTF8', and copy what you need with pg_dump and pg_restore."


class InvalidTableName(MlshareError):
    """invalid table name "{name}" """

    sqlstate = "42602"
    default_hint = "Write it as schema.table; quote names with capitals or special characters."


class InvalidHandle(MlshareError):
    """invalid model handle "{handle}": {reason}"""

    sqlstate = "ML005"


class InvalidRoleName(MlshareError):
    """role "{role}" cannot have a model catalog: {reason}"""

    sqlstate = "ML006"


class TableExists(MlshareError):
    """table "{table}" already exists"""

    sqlstate = "42P07"


class ColumnNotFound(MlshareError):
    """column "{column}" does not exist in "{table}" """

    sqlstate = "42703"


class ReservedColumn(MlshareError):
    """column "{column}" of "{table}" has a name that the output needs"""

    sqlstate = "42701"


# --- training data -------------------------------------------------------------------------------


class TrainingDataError(MlshareError):
    """the training data cannot be used: {reason}"""

    sqlstate = "ML100"


class UnsupportedColumnType(TrainingDataError):
    """column "{column}" has type {type}, which a model cannot use"""

    sqlstate = "ML101"


class InvalidTarget(TrainingDataError):
    """target column "{column}" cannot be learned: {reason}"""

    sqlstate = "ML102"


class TooFewRows(TrainingDataError):
    """too few rows to train on: {reason}"""

    sqlstate = "ML103"


class NoUsableColumns(TrainingDataError):
    """no usable feature columns are left"""

    sqlstate = "ML104"


class NoEstimatorLeft(TrainingDataError):
    """no algorithm is left to try"""

    sqlstate = "ML105"


class TrainingFailed(MlshareError):
    """training failed: {reason}"""

    sqlstate = "ML110"


class PartitionFailed(MlshareError):
    """partition {partition} could not be built: {reason}"""

    sqlstate = "ML111"


class ExecutorFailed(MlshareError):
    """executor "{executor}" failed: {reason}"""

    sqlstate = "ML112"
    default_hint = "Its workers need this version of mlshare with the extra cluster; its logs may say more."


# --- the process beside the backend --------------------------------------------------------------


class ChildError(MlshareError):
    """the {task} process failed: {reason}"""

    sqlstate = "ML120"


class ChildCrashed(ChildError):
    """the {task} process ended without a result ({how})"""

    sqlstate = "ML121"


class ChildOutOfMemory(ChildError):
    """the {task} process needed more than its {limit_mb} MB of memory"""

    sqlstate = "53200"


class ChildTimeout(ChildError):
    """the {task} process did not finish within {seconds} s"""

    sqlstate = "ML122"


# --- the catalog ---------------------------------------------------------------------------------


class ModelNotFound(MlshareError):
    """model "{handle}" does not exist"""

    sqlstate = "ML200"


class ModelExists(MlshareError):
    """model "{handle}" already exists"""

    sqlstate = "ML201"


class AmbiguousModel(MlshareError):
    """model handle "{handle}" is ambiguous"""

    sqlstate = "ML202"


class ModelPrivilege(MlshareError):
    """permission denied for model "{handle}": {privilege} is needed"""

    sqlstate = "42501"


class ModelChanged(MlshareError):
    """model "{handle}" was changed while the statement began"""

    sqlstate = "40001"
    default_hint = "Run the statement again."


class CatalogError(MlshareError):
    """the model catalog "{schema}" cannot be used: {reason}"""

    sqlstate = "ML203"


class ReadOnlyTransaction(MlshareError):
    """models cannot be stored in a read-only transaction"""

    sqlstate = "25006"


class ModelNotReady(MlshareError):
    """model "{handle}" is not ready"""

    sqlstate = "ML204"


# --- model bytes ---------------------------------------------------------------------------------


class ModelObjectError(MlshareError):
    """the model object cannot be used: {reason}"""

    sqlstate = "ML300"


class CorruptModel(ModelObjectError):
    """the model object is damaged: {reason}"""

    sqlstate = "ML301"


class TamperedModel(ModelObjectError):
    """the model object was changed after it was stored: {reason}"""

    sqlstate = "ML302"


class UnsafeModel(ModelObjectError):
    """the model object is refused: {reason}"""

    sqlstate = "ML303"


class ModelTooLarge(ModelObjectError):
    """the model object is too large: {reason}"""

    sqlstate = "ML304"


class InvalidModelMetadata(ModelObjectError):
    """the model metadata cannot be used: {reason}"""

    sqlstate = "ML305"


class InvalidExportTable(ModelObjectError):
    """table "{table}" does not hold an exported model: {reason}"""

    sqlstate = "ML306"


# --- scoring -------------------------------------------------------------------------------------


class MissingFeature(MlshareError):
    """the input lacks column "{column}", which the model needs"""

    sqlstate = "ML400"


class FeatureTypeMismatch(MlshareError):
    """column "{column}" has type {type}, but the model was trained on {expected}"""

    sqlstate = "ML401"


class InvalidFeatureValue(MlshareError):
    """value {value} of column "{column}" is not {expected}"""

    sqlstate = "ML402"


class InvalidMetric(MlshareError):
    """metric "{metric}" is not known for task "{task}" """

    sqlstate = "ML403"


class MetricUndefined(MlshareError):
    """metric "{metric}" cannot be computed: {reason}"""

    sqlstate = "ML404"


class ScoringFailed(MlshareError):
    """the model could not be run: {reason}"""

    sqlstate = "ML405"


class BoundsUnknown(MlshareError):
    """the model has no bounds of its predictions: {reason}"""

    sqlstate = "ML408"


class NotCompilable(MlshareError):
    """the model cannot be written as an SQL function: {reason}"""

    sqlstate = "ML406"


class CompiledTooLarge(MlshareError):
    """the model is too large for an SQL function: {size} {unit}, the limit is {limit}"""

    sqlstate = "ML407"
    default_hint = "Train a smaller one (fewer or smaller trees), or use sys.ml_predict_row."


class FunctionExists(MlshareError):
    """function "{function}" already exists"""

    sqlstate = "42723"


# --- partitioned models --------------------------------------------------------------------------


class PartitionKeyType(MlshareError):
    """column "{column}" of type {type} cannot be part of a partition key"""

    sqlstate = "ML500"
    default_hint = "Integer, numeric, boolean, date, text, enum and uuid columns can; cast others in a query or view."


class InvalidPartitionKey(MlshareError):
    """invalid partition key: {reason}"""

    sqlstate = "ML501"


class TooManyPartitions(MlshareError):
    """the model would have {count} partitions, its maximum is {limit}"""

    sqlstate = "54000"


class NoPartitions(MlshareError):
    """no partitions found in the training data"""

    sqlstate = "ML502"
    default_hint = "The key needs rows in which none of its columns is NULL."


class PartitionExists(MlshareError):
    """partition "{partition}" of model "{handle}" already exists"""

    sqlstate = "ML503"
    default_hint = "REPLACE builds such partitions anew, IGNORE leaves the rows with such keys out."


class PartitionNotFound(MlshareError):
    """partition {partition} of model "{handle}" does not exist"""

    sqlstate = "ML504"
    default_hint = "sys.all_mining_model_partitions lists the partitions."


class LastPartition(MlshareError):
    """partition "{partition}" is the only one of model "{handle}" """

    sqlstate = "ML505"
    default_hint = "Add other partitions first, or drop the model."


class NotPartitioned(MlshareError):
    """model "{handle}" has no partitions"""

    sqlstate = "ML506"


class MissingKeyColumn(MlshareError):
    """the input lacks partition key column "{column}" """

    sqlstate = "ML508"


class UnseenKey(MlshareError):
    """the model has no partition for the key {key}"""

    sqlstate = "ML509"
    default_hint = "The setting unseen_key of the model decides: null, error or fallback."


# --- shares of others ----------------------------------------------------------------------------


class ShareReadError(MlshareError):
    """the share cannot be read"""

    sqlstate = "ML660"


class EndpointRefused(ShareReadError):
    """ "{host}" is not a place to read shares from: {reason}"""

    sqlstate = "ML661"
    default_hint = (
        "An administrator can allow it: CALL dbms_share.update_default_share_property('private_endpoints', 'true')."
    )


class ShareServerError(ShareReadError):
    """the server "{host}" cannot be used: {reason}"""

    sqlstate = "ML662"


class TokenRefused(ShareReadError):
    """the server "{host}" refuses the token"""

    sqlstate = "ML663"
    default_hint = "Ask the provider for a new profile and CALL dbms_share.set_share_provider_credential(…)."


class ShareNotFound(ShareReadError):
    """{name} is not shared"""

    sqlstate = "ML664"


class ProviderCredential(ShareReadError):
    """the token of provider "{name}" cannot be used here"""

    sqlstate = "ML665"
    default_hint = "It is bound to this server and to the endpoint: CALL dbms_share.set_share_provider_credential(…)."


class InvalidProfile(ShareReadError):
    """this is not a profile of a share: {reason}"""

    sqlstate = "ML666"


class UnreadableColumn(ShareReadError):
    """column "{column}" of {table} cannot be a column here: {reason}"""

    sqlstate = "ML667"


class UnknownShareObject(ShareReadError):
    """{kind} "{name}" does not exist"""

    sqlstate = "ML603"


# --- the installation ----------------------------------------------------------------------------


class InstallationError(MlshareError):
    """mlshare is not installed correctly: {reason}"""

    sqlstate = "ML900"
