"""The data set that is shipped: prototypes, facts and the Parquet file made from them."""
