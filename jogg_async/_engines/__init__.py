"""Parts of `jogg_async.dlt` and `jogg_async.dask`."""
