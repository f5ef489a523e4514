"""The publish worker: takes jobs, reads tables as their owner, writes Parquet."""
