package dataset

func (o *opener) parquet(paths []string) error { return badf("%s: Parquet is not read yet", paths[0]) }
