"""What the recipient runs, in an environment without a database: share_client.py PROFILE."""

from __future__ import annotations

import sys

# --- the four lines ----------------------------------------------------------------------------------
import delta_sharing

share_file_path = sys.argv[1]
client = delta_sharing.SharingClient(share_file_path)
df = delta_sharing.load_as_pandas(f"{share_file_path}#DEMOUSER_IRIS.SHAREDEMO.FLOWER")

# --- and a classifier --------------------------------------------------------------------------------
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402

print("tables:", ", ".join(f"{t.share}.{t.schema}.{t.name}" for t in client.list_all_tables()))
print(df.head(3).to_string(index=False))
features = df.drop(columns=["flower_id", "species"])
train, test, train_y, test_y = train_test_split(features, df["species"], random_state=0, stratify=df["species"])
model = LogisticRegression(max_iter=1000).fit(train, train_y)
print(f"{len(df)} flowers; accuracy on {len(test)} that the classifier has not seen: {model.score(test, test_y):.4f}")
