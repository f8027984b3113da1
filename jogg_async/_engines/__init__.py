"""Parts of the resource for dlt and of the data frame for Dask."""
